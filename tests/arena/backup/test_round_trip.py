"""Backup and restore between whole installations, with their commands: what comes back, and what is never touched."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from django.conf import settings

from arena.embedded import binaries, paths
from tests import databases
from tests.arena.backup.installations import FILL, TELL, Installation

pytestmark = pytest.mark.django_db
SOURCE, TARGET = "agon_backup_source", "agon_backup_target"


@pytest.fixture(scope="module")
def source(django_db_setup: None, django_db_blocker: object, tmp_path_factory: object) -> Iterator[Installation]:
    """An installation with battles, votes, a board, a sealed key and a release."""
    with django_db_blocker.unblock(), databases.fresh(SOURCE) as url:
        made = Installation(tmp_path_factory.mktemp("source"), url)
        assert made.manage("migrate", "--no-input").returncode == 0
        made.python(FILL)
        yield made


@pytest.fixture(scope="module")
def told(source: Installation) -> dict:
    return json.loads(source.python(TELL))


@pytest.fixture(scope="module")
def file(source: Installation, told: dict, tmp_path_factory: object) -> Path:
    path = tmp_path_factory.mktemp("backups") / "agon.backup"
    with psycopg.connect(source.url) as site:  # somebody is in the middle of something
        site.execute("SELECT 1 FROM arena_vote FOR UPDATE")
        done = source.manage("backup", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Installation]:
    with databases.fresh(TARGET) as url:
        yield Installation(tmp_path / "target", url)
    for name in kept():
        databases.drop(name)


@pytest.fixture
def var() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="agon-backup-", dir="/tmp"))
    folder.chmod(0o711)  # the servers' user passes through
    yield folder
    shutil.rmtree(folder)


def kept() -> list[str]:
    with databases.server() as server:
        rows = server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'agon_backup_target_%'").fetchall()
    return [name for (name,) in rows]


def tell(installation: Installation) -> dict:
    return json.loads(installation.python(TELL))


def restore(target: Installation, file: Path, *options: str) -> str:
    done = target.manage("restore", file, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_source_is_worth_a_backup(told: dict) -> None:
    assert len(told["votes"]) == 3 and told["board"] and told["key"] == "sk-stored-and-sealed"
    assert set(told["releases"]) == {"first/card.md", "first/data.jsonl"}


def test_everything_comes_back_on_another_machine(target: Installation, file: Path, told: dict) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as valkey:
        valkey.set("turn:of-another-time", "x")
        said = restore(target, file)
        assert valkey.keys() == [], "Valkey is rebuilt"
    assert "1 releases, 0 migrations" in said
    assert tell(target) == told
    assert kept() == [], "an empty database is not kept"


def test_a_backup_is_private_whole_and_never_overwritten(source: Installation, file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".agon.backup")] == []
    before = file.read_bytes()
    done = source.manage("backup", file)
    assert done.returncode != 0 and "backups are never overwritten" in done.stderr
    assert file.read_bytes() == before
    with tarfile.open(file) as tar:
        names = tar.getnames()
        manifest = json.loads(tar.extractfile("manifest.json").read())
    assert names[0] == "database.dump" and names[-1] == "manifest.json"
    assert {"keys/agon_secret_key", "keys/agon_seal_key", "keys/agon_release_key"} <= set(names)
    assert set(manifest["files"]) == set(names) - {"manifest.json"}
    assert manifest["agon"] and manifest["postgresql"] and "arena.0001_initial" in manifest["migrations"]


def test_published_files_that_cannot_be_seen_are_not_forgotten(source: Installation, tmp_path: Path) -> None:
    """A container without the volume of releases would write a backup that lacks them."""
    elsewhere = {"AGON_RELEASES_DIR": str(tmp_path / "not-mounted")}
    with psycopg.connect(source.url, autocommit=True) as site:
        release = site.execute(
            "INSERT INTO datasets_release (id, name, state, policy, licence, conversations, messages, dropped, facts, created_at,"
            " published_at, recall_reason) VALUES (gen_random_uuid(), 'first', 'published', '1', 'l', 1, 2, '{}', '{}', now(),"
            " now(), '') RETURNING id"
        ).fetchone()[0]
        site.execute(
            "INSERT INTO datasets_releasefile (release_id, path, size, sha256) VALUES (%s, 'data.jsonl', 3000, '')",
            [release],
        )
        try:
            assert source.manage("backup", tmp_path / "seen").returncode == 0
            done = Installation(source.var, source.url, elsewhere).manage("backup", tmp_path / "unseen")
        finally:
            site.execute("DELETE FROM datasets_releasefile; DELETE FROM datasets_release")
    assert done.returncode != 0 and "first/data.jsonl" in done.stderr
    assert not (tmp_path / "unseen").exists()


def test_keys_may_be_kept_elsewhere(source: Installation, target: Installation, tmp_path: Path) -> None:
    assert source.manage("backup", tmp_path / "lean", "--without-keys").returncode == 0
    with tarfile.open(tmp_path / "lean") as tar:
        assert not [name for name in tar.getnames() if name.startswith("keys/")]
    keys = {
        f"AGON_{name}_KEY": f"{name.lower()}-key-of-the-operator-0123456789" for name in ("SECRET", "SEAL", "RELEASE")
    }
    other = Installation(target.var, target.url, keys)
    restore(other, tmp_path / "lean")
    assert "WrongSealKey" in other.manage("shell", "-c", TELL).stderr


def test_a_database_with_tables_is_replaced_only_on_request_and_kept(
    target: Installation, file: Path, told: dict
) -> None:
    restore(target, file)
    target.python("import django; django.setup(); from arena.models import Vote, VoteEvent; VoteEvent.objects.all().delete();"
                  "Vote.objects.all().delete()")  # fmt: skip
    refused = target.manage("restore", file)
    assert refused.returncode != 0 and "--yes replaces it" in refused.stderr
    assert tell(target)["votes"] == []
    said = restore(target, file, "--yes")
    assert tell(target) == told
    (old,) = kept()
    assert old in said and "the same requests must be met again" in said
    with databases.server(old) as server:
        assert server.execute("SELECT count(*) FROM arena_vote").fetchone() == (0,)
    restore(target, file, "--yes", "--drop-old")
    assert kept() == [old]


def test_a_running_site_is_left_alone(target: Installation, file: Path) -> None:
    with psycopg.connect(target.url):
        done = target.manage("restore", file, "--yes")
    assert done.returncode != 0 and "the site is running: 1 connections" in done.stderr
    assert not (target.var / "media").exists()


def test_a_damaged_backup_is_refused_before_anything_is_touched(
    target: Installation, file: Path, tmp_path: Path
) -> None:
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    done = target.manage("restore", tmp_path / "damaged", "--yes")
    assert done.returncode != 0
    assert done.stderr.strip().endswith("database.dump differs from the manifest")
    assert not (target.var / "media").exists()
    with databases.server(TARGET) as server:
        assert server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_backup_of_a_later_version_is_refused(source: Installation, target: Installation, tmp_path: Path) -> None:
    with psycopg.connect(source.url, autocommit=True) as site:
        site.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('arena', '9999_later', now())")
        try:
            assert source.manage("backup", tmp_path / "later").returncode == 0
        finally:
            site.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
    done = target.manage("restore", tmp_path / "later")
    assert done.returncode != 0 and "comes from a later version of Agon (arena.9999_later)" in done.stderr
    assert kept() == []


def test_killed_in_the_middle_it_leaves_the_old_site(
    target: Installation, file: Path, told: dict, tmp_path: Path
) -> None:
    """kill -9 when the new database is loaded and nothing has changed its name; the next try starts over."""
    restore(target, file)
    target.python("import django; django.setup(); from inference.models import EngineEndpoint;"
                  "e = EngineEndpoint.objects.get(name='vendor'); e.set_key('changed since'); e.save()")  # fmt: skip
    before = tell(target)
    tools, loaded = tmp_path / "bin", tmp_path / "loaded"
    tools.mkdir()
    real = binaries.postgres_client()
    (tools / "pg_dump").symlink_to(real / "pg_dump")
    (tools / "pg_restore").write_text(f'#!/bin/sh\n{real}/pg_restore "$@" && touch {loaded} && exec sleep 60\n')
    (tools / "pg_restore").chmod(0o755)
    command = [sys.executable, "manage.py", "restore", str(file), "--yes"]
    env = target.environment | {"AGON_POSTGRES_BIN": str(tools)}
    with subprocess.Popen(command, cwd=paths.PROJECT, env=env, start_new_session=True) as running:
        deadline = time.monotonic() + 60
        while not loaded.exists():
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
    assert kept() == [f"{TARGET}_restoring"]
    assert tell(target) == before
    restore(target, file, "--yes", "--drop-old")
    assert tell(target) == told
    assert kept() == []


def test_production_keeps_its_own_keys_or_says_which_it_needs(target: Installation, file: Path) -> None:
    keys = {
        f"AGON_{name}_KEY": f"{name.lower()}-key-of-the-operator-0123456789" for name in ("SECRET", "SEAL", "RELEASE")
    }
    site = {"AGON_ENV": "production", "AGON_ALLOWED_HOSTS": "arena.example.org", "AGON_TRUSTED_PROXIES": "127.0.0.1"}
    production = Installation(target.var, target.url, keys | site)
    done = production.manage("restore", file)
    assert done.returncode != 0
    assert "AGON_SECRET_KEY is not the key that this backup was made under" in done.stderr
    assert f"tar -xOf {file} keys/agon_secret_key" in done.stderr
    restore(production, file, "--keep-keys")


def test_wiped_and_restored_with_the_embedded_servers(var: Path, file: Path, told: dict) -> None:
    """No URL anywhere: the commands start what they need, also for a backup of a site that does not run."""
    site = Installation(var / "site")
    assert restore(site, file)
    again = site.manage("backup", var / "again.backup")
    assert again.returncode == 0, again.stderr
    fresh = Installation(var / "fresh")
    restore(fresh, var / "again.backup")
    code = "from arena.embedded import lifecycle; import contextlib\nwith lifecycle.running(durable=False):\n"
    shown = "\n".join(
        f"    {line}" for line in f"{TELL}\nfrom arena import installation; installation.disconnect()".splitlines()
    )
    assert json.loads(fresh.python(code + shown)) == told


def test_a_name_that_postgresql_would_cut_is_refused(file: Path, tmp_path: Path) -> None:
    """63 bytes are a name; with anything behind it the cut name would be the site's own database, which would be dropped."""
    with databases.fresh("agon_" + "n" * 58) as url:
        with psycopg.connect(url, autocommit=True) as site:
            site.execute("CREATE TABLE precious ()")
        done = Installation(tmp_path / "target", url).manage("restore", file, "--yes")
        assert done.returncode != 0 and "is too long" in done.stderr
        with psycopg.connect(url) as site:
            assert site.execute("SELECT to_regclass('precious')").fetchone()[0] == "precious"
