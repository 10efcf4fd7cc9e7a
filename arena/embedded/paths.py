"""Where the embedded servers keep data and sockets. Pure path computations: settings import this at every start."""

import hashlib
import os
import pwd
import stat
from pathlib import Path
from urllib.parse import quote

from arena.supervisor.process import Account

PROJECT = Path(__file__).resolve().parents[2]
ROOTS_HOME = Path("/var/lib/agon")  # for root, when var/ lies in a home that the servers' user cannot enter
SOCKET_PATH_LIMIT = 107  # bytes in sockaddr_un.sun_path without its final zero
PG_SOCKET_NAME = ".s.PGSQL.5432"
VALKEY_SOCKET_NAME = "valkey.sock"


def var_dir() -> Path:
    """All state of this installation: AGON_VAR, or var/ beside manage.py."""
    return Path(os.path.abspath(os.environ.get("AGON_VAR") or PROJECT / "var"))


def named(variable: str) -> bool:
    """Is DATABASE_URL or REDIS_URL given, by itself or as a file? Then nothing is embedded in its place."""
    return bool(os.environ.get(variable) or os.environ.get(f"{variable}_FILE"))


def run_dir() -> Path:
    """Our own sockets, locks and ready marks (mode 0700, ours); falls back to a short path like the servers' sockets."""
    return short_enough(var_dir() / "run", "engine.sock")


def account() -> Account | None:
    """Who the servers run as: None = ourselves; for root, AGON_SERVER_USER (default nobody), as PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    name = os.environ.get("AGON_SERVER_USER") or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise LookupError(f"AGON_SERVER_USER={name}: no such user on this machine; name an unprivileged one") from None
    return Account(name, entry.pw_uid, entry.pw_gid)


def accessible(path: Path, user: Account | None, mode: int = stat.S_IXOTH) -> bool:
    """Can `user` enter every existing parent of `path`, and does `path`, where it exists, grant it `mode` (o-bits)?"""
    if user is None:
        return True
    return all(_grants(parent, user, stat.S_IXOTH) for parent in path.parents) and _grants(path, user, mode)


def _grants(path: Path, user: Account, mode: int) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return True
    shift = 6 if status.st_uid == user.uid else 3 if status.st_gid == user.gid else 0
    return status.st_mode >> shift & mode == mode


def server_root() -> Path:
    """The folder under which both servers keep their data."""
    var, user = var_dir(), account()
    return var if accessible(var, user) else ROOTS_HOME / _tag(var)


def postgres_dir() -> Path:
    return server_root() / "postgres"


def valkey_dir() -> Path:
    return server_root() / "valkey"


def postgres_socket_dir() -> Path:
    return short_enough(postgres_dir() / "run", PG_SOCKET_NAME)


def valkey_socket() -> Path:
    return short_enough(valkey_dir() / "run", VALKEY_SOCKET_NAME) / VALKEY_SOCKET_NAME


def short_enough(folder: Path, name: str) -> Path:
    """`folder`, or a folder of our own under /tmp when the socket's path would not fit the kernel's limit.

    /tmp and not XDG_RUNTIME_DIR: every process of an installation must come to the same answer, from any login.
    """
    if len(os.fsencode(folder / name)) <= SOCKET_PATH_LIMIT:
        return folder
    return Path("/tmp") / f"agon-{os.geteuid()}-{_tag(folder)}"  # noqa: S108 (its owner and mode are checked)


def database_url(name: str = "agon") -> str:
    """The embedded PostgreSQL's URL."""
    return f"postgresql://postgres@/{name}?host={quote(str(postgres_socket_dir()), safe='/')}"


def redis_url(db: int = 0) -> str:
    """The embedded Valkey's URL."""
    return f"unix://{quote(str(valkey_socket()), safe='/')}?db={db}"


def _tag(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
