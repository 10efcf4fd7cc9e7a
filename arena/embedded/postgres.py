"""The embedded PostgreSQL: one data folder, one unix socket, no TCP."""

import os
import pwd
import signal
import subprocess
from pathlib import Path

from arena.embedded import binaries, leftovers, paths
from arena.embedded.folders import private
from arena.supervisor.process import Account, Process

START_TIMEOUT_S = 60.0  # crash recovery after kill -9 is bounded by the WAL since the last checkpoint (<= 1 GB)


class PostgresRefused(RuntimeError):
    """The data folder cannot be used by this server; the message says what to do."""


def process(durable: bool = True) -> Process:
    """The row of the process table. `durable=False` (tests) turns fsync off."""
    user = paths.account()
    folder = binaries.postgres_bin(user)
    data, sockets = paths.postgres_dir() / "data", paths.postgres_socket_dir()
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{sockets}"',
        "unix_socket_permissions": "0700",
        "port": "5432",
        "max_connections": os.environ.get("AGON_PG_CONNECTIONS", "100"),
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_line_prefix": "[%p] ",
        "log_min_error_statement": "panic",  # a failed statement holds the text that it was to store
        "log_error_verbosity": "terse",  # and so does its DETAIL
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return Process(
        name="postgres",
        argv=(str(folder / "postgres"), "-D", str(data), *options),
        ready=lambda: is_ready(data),
        prepare=lambda: prepare(folder, user, durable),
        env={"LC_ALL": "C", "PATH": os.defpath},
        inherit_env=False,
        account=user,
        stage=0,
        stop_signal=signal.SIGINT,  # SIGTERM would wait until the last client leaves
    )


def is_ready(data: Path) -> bool:
    """The server writes its state into the eighth line of postmaster.pid."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, PermissionError):
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def prepare(folder: Path, user: Account | None, durable: bool) -> None:
    """Folders, cluster, access rules; a stale pid file or an orphaned server is cleared away. Idempotent."""
    home = private(paths.postgres_dir(), user)
    private(paths.postgres_socket_dir(), user)
    data = home / "data"
    if not data.exists():
        _initdb(folder, home, user, durable)
    _check_version(folder, data, user)
    _clear_stale(data, paths.postgres_socket_dir())
    _write_access_rules(data, user)


def _initdb(folder: Path, home: Path, user: Account | None, durable: bool) -> None:
    """Into a folder of another name, renamed when whole: an interrupted initdb never looks like a cluster."""
    fresh = home / f"data.new.{os.getpid()}"
    command = [str(folder / "initdb"), "-D", str(fresh), "--no-locale", "--encoding=UTF8", "--username=postgres"]
    _run([*command, "--auth=peer", *([] if durable else ["--no-sync"])], user)
    fresh.rename(home / "data")


def _check_version(folder: Path, data: Path, user: Account | None) -> None:
    has = (data / "PG_VERSION").read_text().strip()
    server = _run([str(folder / "postgres"), "--version"], user).split()[-1]
    if server.split(".")[0] != has:
        raise PostgresRefused(
            f"{data} was made by PostgreSQL {has}, but the server is {server}: dump it with version {has} (pg_dump), "
            "move the folder away, start again and restore; docs/operating.md shows how"
        )


def _clear_stale(data: Path, sockets: Path) -> None:
    """Only the holder of the installation's lock comes here, so a server on this folder is an orphan."""
    pid = leftovers.read_pid(data / "postmaster.pid")
    if pid:
        leftovers.end(pid, str(data), signal.SIGINT)
    for path in (data / "postmaster.pid", sockets / paths.PG_SOCKET_NAME, sockets / f"{paths.PG_SOCKET_NAME}.lock"):
        path.unlink(missing_ok=True)


def _write_access_rules(data: Path, user: Account | None) -> None:
    """Only the operating system's user who runs Agon may connect: peer authentication, checked by the kernel."""
    us = pwd.getpwuid(os.geteuid()).pw_name
    rules = {
        "pg_hba.conf": "local all postgres peer map=agon\nlocal replication postgres peer map=agon\n",
        "pg_ident.conf": f'agon "{us}" postgres\n',
    }
    for name, text in rules.items():
        path = data / name
        if path.read_text() != text:
            path.write_text(text)  # keeps the owner that initdb gave it


def _run(command: list[str], user: Account | None) -> str:
    identity = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    done = subprocess.run(
        command, cwd="/", env={"LC_ALL": "C", "PATH": os.defpath}, capture_output=True, text=True, check=False,
        timeout=START_TIMEOUT_S, **identity,  # type: ignore[call-overload]
    )  # fmt: skip
    if done.returncode != 0:
        raise PostgresRefused(f"{Path(command[0]).name} failed ({done.returncode}): {done.stderr.strip()[-800:]}")
    return done.stdout


def ensure_database(name: str = "agon") -> None:
    """Create the site's database in a new cluster."""
    import psycopg  # not at module level: settings import this package's paths at every start

    with psycopg.connect(paths.database_url("postgres"), autocommit=True, connect_timeout=10) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not exists:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
