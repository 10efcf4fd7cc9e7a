"""The way back: check everything, build beside the old, swap at the very end.

1. Every byte of the archive is checked against its manifest. 2. The site must be stopped, and a database with tables in it is
replaced only with `yes`. 3. The dump goes into a database of its own, which is migrated to this version. 4. Releases are
unpacked beside the old ones. 5. In one transaction the databases change names; keys and releases follow by renames; Valkey is
emptied. Whatever ends the process before step 5 leaves the old site as it was; the old database stays until it is dropped.
"""

import shutil
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from arena import clock, installation
from arena.backup import BackupRefused, archive, database, keys
from arena.backup.archive import Verified
from arena.embedded import lifecycle

Server = psycopg.Connection[Any]
RESTORING = "_restoring"
VALKEY_S = 5.0


@dataclass
class Restored:
    """What was done. `aside` is the old database's name now, "" when there was none or it was dropped."""

    made_at: str
    migrations: int = 0
    releases: int = 0
    aside: str = ""
    new_keys: list[str] = field(default_factory=list)


def restore(path: Path, yes: bool = False, keep_keys: bool = False, drop_old: bool = False) -> Restored:
    """Bring the site back to what `path` holds. Raises BackupRefused, and then nothing has changed."""
    whole = archive.verify(path)
    found = {} if keep_keys else keys.wanted(whole)
    try:
        with lifecycle.running() if lifecycle.servers() else nullcontext():
            return _restore(whole, yes, found, drop_old)
    except lifecycle.AlreadyManaged as error:
        raise BackupRefused(f"the site is running (process {error}): stop it first") from None
    except OSError as error:
        raise BackupRefused(f"the old site is still there, but nothing could be restored: {error}") from None
    finally:
        installation.disconnect()


def _restore(whole: Verified, yes: bool, found: dict[str, str], drop_old: bool) -> Restored:
    valkey = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=VALKEY_S, socket_connect_timeout=VALKEY_S)
    with valkey, database.connect() as server:
        had_tables = _may_replace(server, yes)
        _answers(valkey)
        stamp = clock.now().strftime("%Y%m%d%H%M%S")
        done = Restored(str(whole.manifest.get("made_at", "")), aside=database.beside(f"_before_{stamp}"))
        fresh = database.beside(RESTORING)
        try:
            done.migrations = _build(server, whole, fresh)
            staged = _unpack(whole)
            database.swap(server, fresh, done.aside)
        except BaseException:
            database.drop(server, fresh)
            raise
        try:
            _follow(done, found, staged, stamp, valkey)
        except (OSError, redis.RedisError) as error:
            raise BackupRefused(
                f"the database is restored, the rest is not ({error}): restore again with --yes"
            ) from None
        if drop_old or not had_tables:
            database.drop(server, done.aside)
            done.aside = ""
    return done


def _follow(done: Restored, found: dict[str, str], staged: Path, stamp: str, valkey: redis.Redis) -> None:
    """What changes hands after the database did."""
    done.new_keys = keys.take_over(found, stamp)
    done.releases = _place(staged, stamp)
    valkey.flushdb()


def _may_replace(server: Server, yes: bool) -> bool:
    """Whether there is a database with tables, which `yes` allows to replace. Raises BackupRefused."""
    installation.disconnect()
    if not database.exists(server, database.name()):
        return False
    if others := database.sessions(server, database.name()):
        raise BackupRefused(
            f"the site is running: {others} connections to {database.name()}. Stop all its processes first"
        )
    if database.is_empty(database.name()):
        return False
    if not yes:
        raise BackupRefused(
            f"{database.name()} is not empty: --yes replaces it (the old one is kept under another name)"
        )
    return True


def _answers(valkey: redis.Redis) -> None:
    try:
        valkey.ping()
    except redis.RedisError as error:
        raise BackupRefused(f"Valkey cannot be reached: {error}") from None


def _build(server: Server, whole: Verified, fresh: str) -> int:
    """The archive's database under a name of its own, at this version; returns how many migrations that took."""
    database.create(server, fresh)
    scratch = _scratch()
    try:
        whole.extract(archive.DUMP, scratch)
        database.load(scratch / archive.DUMP, fresh)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    with database.pointed_at(fresh):
        _known_to_us()
        return installation.migrate()


def _known_to_us() -> None:
    """A database of a later version cannot be brought back to an earlier one. Raises BackupRefused."""
    loader = MigrationLoader(connection)
    later = sorted(
        f"{app}.{name}" for app, name in loader.applied_migrations or {} if (app, name) not in loader.disk_migrations
    )
    ours = [name for name in later if name.split(".")[0] in loader.migrated_apps]
    if ours:
        raise BackupRefused(f"the backup comes from a later version of Agon ({', '.join(ours[:3])}): install that one")


def _scratch() -> Path:
    """Beside the releases, where there must be room anyway; emptied first, since a killed restore may have left it."""
    folder = Path(settings.RELEASES_DIR) / ".restoring"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _unpack(whole: Verified) -> Path:
    staged = _scratch()
    whole.extract(archive.RELEASES, staged)
    return staged


def _place(staged: Path, stamp: str) -> int:
    """Releases take their names, folder by folder (the root may be a mount); old ones stay in a folder with a dot."""
    root = Path(settings.RELEASES_DIR)
    old = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
    if old:
        aside = root / f".before-{stamp}"
        aside.mkdir()
        for entry in old:
            entry.rename(aside / entry.name)
    fresh = list(staged.iterdir())
    for entry in fresh:
        entry.rename(root / entry.name)
    staged.rmdir()
    return len(fresh)
