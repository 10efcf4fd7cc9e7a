"""Writes the database dump of a release, for the upgrade tests of later ones: `python -m tests.upgrade.make_dump`.

A fresh installation (stub engine) with its demo data, plus live battles in every state a person can leave them in. Run it
once, at the release, and commit the file; dumps of earlier releases are never made again.
"""

import gzip
import json
import os
import subprocess
import tomllib
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from arena.embedded import binaries, paths  # noqa: E402
from tests.person import Person  # noqa: E402
from tests.stack import Stack  # noqa: E402

FOLDER = Path(__file__).parent
SHORT = json.dumps({"stub": {"n": 5, "rate": 0}})
FAILING = json.dumps({"stub": {"n": 5, "rate": 0, "fault": "500"}})
BROKEN = json.dumps({"stub": {"n": 9, "rate": 0, "fault": "truncate", "after": 3}})


def leave_battles(url: str) -> None:
    """One person: a vote with a later turn, a vote on a broken answer, a shared tie, one failed and one unvoted battle."""
    person = Person(url)
    for prompt, choice in ((SHORT, "a"), (BROKEN, "b"), (SHORT, "tie"), (FAILING, ""), (SHORT, "")):
        battle = person.start(prompt)
        while (screen := person.watch(battle)).next:  # failed before any text: the prompt went to a new pair
            battle = screen.next
        if choice:
            person.vote(battle, choice)
        if choice == "a":
            person.post(f"{battle}turns/", prompt=SHORT, key="5a9c7a0e-0f5e-4c5e-9a55-000000000001")
            person.watch(battle, number=2)
        if choice == "tie":
            person.post(f"{battle}share/")


def dump() -> bytes:
    command = [
        str(binaries.postgres_bin(paths.account()) / "pg_dump"),
        "--no-owner",
        "--no-privileges",
        "-U",
        "postgres",
    ]
    command += ["-h", str(paths.postgres_socket_dir()), "agon"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def moved(sql: bytes, folders: dict[str, str]) -> bytes:
    """The dump as if the installation had lived elsewhere: this machine's folders are nobody's business."""
    for here, there in folders.items():
        sql = sql.replace(here.encode(), there.encode())
    return sql


def main() -> None:
    version = tomllib.loads((paths.PROJECT / "pyproject.toml").read_text())["project"]["version"]
    target = FOLDER / f"agon-{version}.sql.gz"
    with Stack() as stack:
        leave_battles(stack.url)
        with stack.environment():
            here = {str(stack.var): "/srv/agon/var", str(paths.PROJECT): "/srv/agon"}
            target.write_bytes(gzip.compress(moved(dump(), here), 9, mtime=0))
    print(f"{target} ({target.stat().st_size // 1024} kB)")


if __name__ == "__main__":
    main()
