"""PostgreSQL's own tools for the dump and its way back; a database beside the old one, and the swap of their names."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import sql
from psycopg.conninfo import make_conninfo

from arena import installation
from arena.backup import BackupRefused
from arena.embedded import binaries

MAINTENANCE = "postgres"
NOT_LIBPQ = {"pool", "isolation_level", "server_side_binding", "assume_role", "prepare_threshold"}
RENAME_WAIT_MS = 5_000
NAME_MOST = 63  # bytes; PostgreSQL cuts longer names without a word


def name() -> str:
    return str(connections.settings["default"]["NAME"])


def beside(suffix: str) -> str:
    """The name of a database next to the site's. Raises BackupRefused where the cut name could be the site's own."""
    found = name() + suffix
    if len(found.encode()) > NAME_MOST:
        raise BackupRefused(f"the name of the database, {name()}, is too long: PostgreSQL would cut {found}. Rename it")
    return found


def conninfo(dbname: str) -> str:
    """How to reach a database of the site's server; the password is not in it (see `_environment`)."""
    row = connections.settings["default"]
    options = {key: value for key, value in row.get("OPTIONS", {}).items() if key not in NOT_LIBPQ}
    known = {"host": row["HOST"], "port": row["PORT"], "user": row["USER"]}
    return make_conninfo(dbname=dbname, **{key: value for key, value in known.items() if value}, **options)


def connect(dbname: str = MAINTENANCE) -> psycopg.Connection[Any]:
    """An autocommit connection outside Django's pool. Raises BackupRefused when the server cannot be reached."""
    password = connections.settings["default"]["PASSWORD"] or None
    try:
        return psycopg.connect(conninfo(dbname), password=password, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise BackupRefused(f"PostgreSQL cannot be reached: {str(error).strip().splitlines()[-1]}") from None


def dump(target: Path) -> None:
    """A consistent copy of the database as it is at this moment, in pg_dump's custom format. The site may run meanwhile."""
    _tool(
        "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}", "--dbname", conninfo(name())
    )


def load(source: Path, dbname: str) -> None:
    command = ("--no-owner", "--no-privileges", "--exit-on-error", "--dbname", conninfo(dbname), str(source))
    _tool("pg_restore", *command)


def _tool(tool: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs. Raises BackupRefused with its last words."""
    program = binaries.postgres_client() / tool
    done = subprocess.run(
        [str(program), *arguments],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupRefused(f"{tool} failed ({done.returncode}): {done.stderr.strip()[-800:]}")


def _environment() -> dict[str, str]:
    """The password travels in the environment: arguments can be seen by every user of the machine."""
    password = str(connections.settings["default"]["PASSWORD"])
    return {"LC_ALL": "C", "PATH": os.defpath} | ({"PGPASSWORD": password} if password else {})


def exists(server: psycopg.Connection[Any], dbname: str) -> bool:
    return server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [dbname]).fetchone() is not None


def is_empty(dbname: str) -> bool:
    """No tables: nobody has ever migrated it."""
    with connect(dbname) as target:
        return target.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1").fetchone() is None


def sessions(server: psycopg.Connection[Any], dbname: str) -> int:
    """Whoever else is connected to it: the site, or somebody's psql."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
    row = server.execute(others, [dbname]).fetchone()
    return int(row[0]) if row else 0


def create(server: psycopg.Connection[Any], dbname: str) -> None:
    """A new, empty database in UTF-8, sorted like the server's own; an unfinished one of that name goes."""
    drop(server, dbname)
    server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(dbname)))


def drop(server: psycopg.Connection[Any], dbname: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname)))


def swap(server: psycopg.Connection[Any], fresh: str, aside: str) -> None:
    """`fresh` becomes the site's database and the old one, if there is one, becomes `aside`: both or neither.

    Raises BackupRefused when somebody is connected to either.
    """
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    try:
        with server.transaction():
            server.execute("SELECT set_config('lock_timeout', %s, true)", [str(RENAME_WAIT_MS)])
            if exists(server, name()):
                server.execute(rename.format(sql.Identifier(name()), sql.Identifier(aside)))
            server.execute(rename.format(sql.Identifier(fresh), sql.Identifier(name())))
    except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable):
        raise BackupRefused("somebody connected to the database meanwhile: stop the site, then restore again") from None


@contextmanager
def pointed_at(dbname: str) -> Iterator[None]:
    """Django's models and migrations work on another database of the same server."""
    row, old = connections.settings["default"], name()
    installation.disconnect()
    row["NAME"] = settings.DATABASES["default"]["NAME"] = dbname
    try:
        yield
    finally:
        installation.disconnect()
        row["NAME"] = settings.DATABASES["default"]["NAME"] = old
