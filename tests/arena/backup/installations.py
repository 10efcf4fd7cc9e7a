"""Small whole installations on the test server: a database, a folder and keys of their own, with rows that must come back."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from arena.embedded import paths

FILL = """
import django; django.setup()
from pathlib import Path
from django.conf import settings
from arena import votes
from ranking.fits import fitting
from tests import factories
endpoint = factories.endpoint("vendor", base_url="https://vendor.example/v1")
endpoint.set_key("sk-stored-and-sealed"); endpoint.save()
for number in range(3):
    votes.cast_vote(factories.ready().pk, "a", 1)
fitting.refit()
for name, text in {"first/data.jsonl": b"{}\\n" * 1000, "first/card.md": b"# Card\\n", ".building-1/half": b"x"}.items():
    path = Path(settings.RELEASES_DIR) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
"""
TELL = """
import json, hashlib, django; django.setup()
from pathlib import Path
from django.conf import settings
from arena.models import Battle, Message, Vote
from inference.models import EngineEndpoint
from ranking.pages import published
root = Path(settings.RELEASES_DIR)
shown = sorted(path for path in root.rglob("*") if path.is_file() and not path.relative_to(root).parts[0].startswith("."))
board = published.current()
print(json.dumps({
    "votes": sorted(str(pk) for pk in Vote.objects.values_list("pk", flat=True)),
    "texts": sorted(Message.objects.values_list("text", flat=True)),
    "battles": Battle.objects.count(),
    "board": board and [str(board.snapshot), [row.rating for row in board.rows]],
    "key": EngineEndpoint.objects.get(name="vendor").open_key(),
    "releases": {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in shown},
    "secrets": [settings.SECRET_KEY, settings.SEAL_KEYS, settings.RELEASE_KEY],
}))
"""


@dataclass
class Installation:
    """`url` "" = the embedded servers of its own folder."""

    var: Path
    url: str = ""
    more: dict[str, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AGON_", "DJANGO_"))}
        for name in ("DATABASE_URL", "REDIS_URL"):
            kept.pop(name, None)
        urls = {"DATABASE_URL": self.url, "REDIS_URL": settings.REDIS_URL} if self.url else {}
        fixed = {"AGON_VAR": str(self.var), "DJANGO_SETTINGS_MODULE": "arena.settings", "AGON_LOG_LEVEL": "WARNING"}
        return kept | fixed | urls | (self.more or {})

    def manage(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return self._run("manage.py", *map(str, arguments))

    def python(self, code: str) -> str:
        done = self._run("-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=paths.PROJECT, env=self.environment, capture_output=True, text=True, timeout=120
        )
