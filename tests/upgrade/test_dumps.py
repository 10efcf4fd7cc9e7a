"""Every released database comes up under today's code: restored, migrated, and its numbers still there."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from arena.embedded import binaries, paths

DUMPS = sorted(Path(__file__).parent.glob("agon-*.sql.gz"))
NAME = "agon_upgrade"
COUNT = """
import json, django; django.setup()
from arena.models import Battle, ContestantRevision, Message, Turn, Vote, VoteEvent
from ranking.models import BoardSnapshot, PairCount
print(json.dumps({
    "live": sorted(Battle.objects.filter(origin="live").values_list("state", flat=True)),
    "demo": Battle.objects.filter(origin="demo").count(),
    "unranked": sorted(Vote.objects.exclude(unranked="").values_list("unranked", flat=True)),
    "events": VoteEvent.objects.count(), "votes": Vote.objects.count(),
    "late": Turn.objects.filter(post_reveal=True).count(),
    "counted": sum(PairCount.objects.filter(origin="demo").values_list("count", flat=True)),
    "boards": sorted(set(BoardSnapshot.objects.values_list("origin", flat=True))),
}))
"""


@pytest.fixture
def database(db: None) -> Iterator[str]:
    """The URL of an empty database on the test server."""
    if os.environ.get("DATABASE_URL"):
        pytest.skip("restores with the embedded server's psql; DATABASE_URL names another server")
    _psql("postgres", f"DROP DATABASE IF EXISTS {NAME}; ".encode())
    _psql("postgres", f"CREATE DATABASE {NAME}".encode())
    yield paths.database_url(NAME)
    _psql("postgres", f"DROP DATABASE {NAME} WITH (FORCE)".encode())


def _psql(name: str, sql: bytes) -> None:
    folder, sockets = binaries.postgres_bin(paths.account()), str(paths.postgres_socket_dir())
    command = [str(folder / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h", sockets, name]
    done = subprocess.run(command, input=sql, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def _python(database: str, *arguments: str) -> str:
    env = os.environ | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "arena.settings"}
    done = subprocess.run([sys.executable, *arguments], env=env, cwd=paths.PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_a_dump_of_the_first_release() -> None:
    assert [path.name for path in DUMPS][:1] == ["agon-0.1.0.sql.gz"]


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.name)
def test_a_released_database_comes_up(database: str, path: Path) -> None:
    _psql(NAME, gzip.decompress(path.read_bytes()))
    _python(database, "manage.py", "migrate", "--no-input")
    _python(database, "manage.py", "refit")
    found = json.loads(_python(database, "-c", COUNT))
    assert found["demo"] == found["counted"] == 300
    assert found["votes"] == found["events"] == 303
    assert {"voted", "failed", "ready"} <= set(found["live"])
    assert found["unranked"] == ["early"]
    assert found["late"] == 1
    assert {"demo", "live"} <= set(found["boards"])
    assert "default" in connections  # this process's own connection was not touched
