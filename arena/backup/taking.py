"""Taking a backup: the database first, then the releases that it knows of, and the manifest last."""

import errno
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from arena import clock, installation
from arena.backup import BackupRefused, archive, database, keys
from arena.embedded import lifecycle


def version() -> str:
    return str(tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]["version"])


@contextmanager
def servers_at_hand() -> Iterator[None]:
    """The embedded servers run: those of the site if it is up, else our own for as long as it takes."""
    with ExitStack() as stack:
        if lifecycle.servers():
            with suppress(lifecycle.AlreadyManaged):  # then the site runs, and its servers are what we want
                stack.enter_context(lifecycle.running())
        try:
            yield
        finally:
            installation.disconnect()


def take(path: Path, with_keys: bool = True) -> dict[str, Any]:
    """Write a backup to `path`, whole or not at all; returns its manifest. Nothing is ever overwritten.

    Raises BackupRefused when the file exists, the disk is full, or the database cannot be dumped.
    """
    if path.exists() or path.is_symlink():
        raise BackupRefused(f"{path} exists: choose another name, backups are never overwritten")
    if not path.parent.is_dir():
        raise BackupRefused(f"{path.parent} is no folder")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            manifest = _write(scratch, with_keys)
            _place(scratch / "archive", path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise BackupRefused(f"{path.parent} is full" if full else f"{path} cannot be written: {error}") from None
    return manifest


def _write(scratch: Path, with_keys: bool) -> dict[str, Any]:
    facts = _facts()
    if missing := missing_files():
        raise BackupRefused(
            f"{missing[0]} and {len(missing) - 1} more files of published releases are not in {settings.RELEASES_DIR}: "
            "mount that folder here, or recall the release"
        )
    database.dump(scratch / archive.DUMP)
    return archive.write(scratch / "archive", _members(scratch / archive.DUMP, with_keys), facts)


def _members(dump: Path, with_keys: bool) -> Iterator[tuple[str, Path | bytes]]:
    yield archive.DUMP, dump
    if with_keys:
        yield from keys.members()
    for path in release_files():
        if path.exists():  # a release may be recalled while we read
            yield archive.RELEASES + path.relative_to(settings.RELEASES_DIR).as_posix(), path


def release_files() -> list[Path]:
    """The files of published releases: half-written ones lie in folders that begin with a dot."""
    root = Path(settings.RELEASES_DIR)
    found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))


def missing_files() -> list[str]:
    """Files that the database knows as published and we cannot see: a backup without them would be found out too late."""
    files = apps.get_model("datasets", "ReleaseFile")
    if files._meta.db_table not in connection.introspection.table_names():  # a database of the first release
        return []
    published = files.objects.filter(release__state="published").values_list("release__name", "path")
    wanted = [f"{name}/{path}" for name, path in published.order_by("release__name", "path")]
    return [path for path in wanted if not (Path(settings.RELEASES_DIR) / path).is_file()]


def _facts() -> dict[str, Any]:
    """What a reader of the archive wants to know before using it."""
    applied = MigrationRecorder(connection).applied_migrations()
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        server = cursor.fetchone()[0]
    return {
        "agon": version(),
        "made_at": clock.now().isoformat(timespec="seconds"),
        "postgresql": server,
        "migrations": sorted(f"{app}.{name}" for app, name in applied),
    }


def _place(archive_file: Path, path: Path) -> None:
    """Its name appears with its last byte, and never in place of another file."""
    try:
        os.link(archive_file, path)
    except FileExistsError:
        raise BackupRefused(f"{path} was made by somebody else meanwhile") from None
    except OSError:  # a disk without hard links
        archive_file.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
