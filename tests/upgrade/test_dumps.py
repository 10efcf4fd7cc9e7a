"""Every released database comes up under today's code: restored, migrated, and its numbers still there."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection, connections

from arena.embedded import binaries, paths
from tests import databases
from tests.arena.backup.installations import Installation

FIRST = Path(__file__).parent / "agon-0.1.0.sql.gz"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
NAME, UPGRADED = f"agon_upgrade{WORKER}", f"agon_upgraded{WORKER}"
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


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> None:
    if os.environ.get("DATABASE_URL"):
        pytest.skip("restores with the embedded server's psql; DATABASE_URL names another server")


@contextmanager
def _made(name: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, which is gone afterwards."""
    _psql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
    _psql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    yield paths.database_url(name)
    _psql("postgres", f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def database(server: None) -> Iterator[str]:
    """The URL of an empty database on the test server."""
    with _made(NAME) as url:
        yield url


@pytest.fixture(scope="module")
def upgraded_once(server: None) -> Iterator[None]:
    """The first release's database, brought up to date: migrating takes long enough to do it once for many tests."""
    with _made(UPGRADED) as url:
        _psql(UPGRADED, gzip.decompress(FIRST.read_bytes()))
        assert "migrations applied" in _python(url, "manage.py", "prepare")
        yield


@pytest.fixture
def upgraded(upgraded_once: None) -> Iterator[str]:
    """The URL of a copy of it."""
    with _made(NAME, UPGRADED) as url:
        yield url


def _psql(name: str, sql: bytes) -> None:
    folder, sockets = binaries.postgres_bin(paths.account()), str(paths.postgres_socket_dir())
    command = [str(folder / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h", sockets, name]
    done = subprocess.run(command, input=sql, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def _run(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "arena.settings"}
    return subprocess.run([sys.executable, *arguments], env=env, cwd=paths.PROJECT, capture_output=True, text=True)


def _python(database: str, *arguments: str) -> str:
    done = _run(database, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


ENRICHED = """
import json, django; django.setup()
from arena.models import Conversation, Enrichment, Message
print(json.dumps({
    "messages": Message.objects.count(), "enriched": Enrichment.objects.count(),
    "languages": sorted(set(Enrichment.objects.values_list("language", flat=True))),
    "verdicts": sorted(set(Conversation.objects.values_list("verdict", flat=True))),
}))
"""
PAGES = """
import json, django; django.setup()
from django.conf import settings
settings.ALLOWED_HOSTS = ["testserver"]
from django.test import Client
from arena.models import Battle, Contestant
from arena import visitors
from django.core import signing
found = {}
def look(client, path):
    answer = client.get(path)
    found[path] = answer.status_code
    return answer
stranger = Client()
for path in ("/", "/leaderboard", "/leaderboard.json", "/leaderboard.csv", "/methodology", "/datasets", "/terms", "/privacy",
             "/me/", "/api", "/api/v1/leaderboard", "/api/v1/openapi.json", "/healthz", "/admin/login/"):
    look(stranger, path)
for contestant in Contestant.objects.all():
    look(stranger, f"/models/{contestant.slug}/")
for token in Battle.objects.exclude(share_token=None).values_list("share_token", flat=True):
    look(stranger, f"/s/{token}/")
for battle in Battle.objects.filter(origin="live", visitor__isnull=False, successor=None):
    owner = Client()
    owner.cookies[visitors.COOKIE] = visitors._signer.sign(battle.visitor_id.hex)
    look(owner, f"/b/{battle.pk}/")
    look(owner, "/me/")
print(json.dumps(found))
"""


def test_the_pages_of_an_upgraded_site_answer(upgraded: str) -> None:
    found = json.loads(_python(upgraded, "-c", PAGES))
    assert {path: status for path, status in found.items() if status != 200} == {}
    kinds = [sum(path.startswith(start) for path in found) for start in ("/models/", "/s/", "/b/")]
    assert kinds[0] >= 4 and kinds[1] >= 1 and kinds[2] >= 4


def test_old_messages_are_enriched_afterwards(upgraded: str) -> None:
    """What detectors of today say about texts from before there were any; the verdicts still wait for somebody who may pass."""
    before, after = json.loads(_python(upgraded, "-c", ENRICHED)), None
    _python(upgraded, "manage.py", "enrich", "--here")
    after = json.loads(_python(upgraded, "-c", ENRICHED))
    assert before["enriched"] == 0 and after["enriched"] == after["messages"] > 1000
    assert "en" in after["languages"]
    assert after["verdicts"] and "passed" not in after["verdicts"]


def test_old_and_new_databases_have_one_schema(database: str, upgraded_once: None) -> None:
    """Migrating from nothing and from the first release ends in the same tables, columns, constraints, indexes and triggers."""
    _psql(NAME, gzip.decompress(FIRST.read_bytes()))
    old = _schema(NAME)
    fresh = _schema(str(connection.settings_dict["NAME"]))  # the tests' own, migrated from nothing
    assert _schema(UPGRADED) == fresh
    assert old != fresh, "or there would be nothing to test"


def _schema(name: str) -> list[str]:
    """The statements that make it, in an order of their own; columns of a table in alphabetical order."""
    with databases.fresh(
        f"{NAME}_again"
    ):  # what was dumped once is written otherwise (casts): so dump everything twice
        _psql(f"{NAME}_again", _dumped(name).encode())
        sql = _dumped(f"{NAME}_again")
    lines = [line for line in sql.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]
    return sorted(_ordered(statement) for statement in "\n".join(lines).split(";\n"))


def _dumped(name: str) -> str:
    tool = [str(binaries.postgres_client() / "pg_dump"), "--schema-only", "--no-owner", "--no-privileges"]
    command = [*tool, "-U", "postgres", "-h", str(paths.postgres_socket_dir()), name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _ordered(statement: str) -> str:
    if not statement.startswith("CREATE TABLE"):
        return statement
    head, *columns, tail = statement.splitlines()
    return "\n".join([head, *sorted(column.rstrip(",") for column in columns), tail])


def test_a_busy_table_stops_the_migration_not_the_site(database: str) -> None:
    """`lock_timeout`: a waiting migration would make every later query of that table wait behind it."""
    _psql(NAME, gzip.decompress(FIRST.read_bytes()))
    tables = ("arena_message", "arena_battle", "arena_report", "inference_deployment")
    with psycopg.connect(database) as busy:
        busy.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
        begun = time.monotonic()
        done = _run(database, "manage.py", "prepare")
        assert done.returncode != 0 and "gave up" in done.stderr and "Traceback" not in done.stderr
        assert 4 < time.monotonic() - begun < 40
        with psycopg.connect(database) as site:
            assert site.execute("SELECT count(*) FROM arena_vote").fetchone() == (303,)
    assert "migrations applied" in _python(database, "manage.py", "prepare"), "and the next try finishes it"
    assert _python(database, "manage.py", "prepare").startswith("0 migrations applied")


def test_a_backup_of_the_first_release_is_restored_at_today_s_version(database: str, tmp_path: Path) -> None:
    _psql(NAME, gzip.decompress(FIRST.read_bytes()))
    with databases.fresh(f"{NAME}_target") as target:
        site, later = Installation(tmp_path / "old", database), Installation(tmp_path / "new", target)
        taken = site.manage("backup", tmp_path / "old.backup")
        assert taken.returncode == 0, taken.stderr
        restored = later.manage("restore", tmp_path / "old.backup")
        assert restored.returncode == 0, restored.stderr
        applied = re.search(r"(\d+) migrations", restored.stdout)
        assert applied and int(applied[1]) >= 5
        assert json.loads(_python(target, "-c", COUNT))["votes"] == 303


def test_a_released_database_comes_up(upgraded: str) -> None:
    _python(upgraded, "manage.py", "refit")
    found = json.loads(_python(upgraded, "-c", COUNT))
    assert found["demo"] == found["counted"] == 300
    assert found["votes"] == found["events"] == 303
    assert {"voted", "failed", "ready"} <= set(found["live"])
    assert found["unranked"] == ["early"]
    assert found["late"] == 1
    assert {"demo", "live"} <= set(found["boards"])
    assert "default" in connections  # this process's own connection was not touched
