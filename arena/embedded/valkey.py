"""The embedded Valkey: one unix socket, no TCP, bounded memory."""

import os
import signal
import socket
from pathlib import Path

from arena.embedded import binaries, leftovers, paths
from arena.embedded.folders import private
from arena.supervisor.process import Account, Process

DATABASES = 64  # the tests take one per worker


def policy() -> dict[str, str]:
    """What any Valkey of ours is told, here and in compose.yaml.

    Snapshots (RDB), no append-only file: what is in here may be lost (streams are published again from PostgreSQL,
    tasks are found by the sweeper), so a quick restart and no fsync per write are worth more. Memory is bounded and nothing
    is evicted: a full Valkey says so in an error instead of dropping tasks silently.
    """
    return {
        "save": "300 1",
        "appendonly": "no",
        "stop-writes-on-bgsave-error": "no",
        "maxmemory": os.environ.get("AGON_VALKEY_MAXMEMORY", "256mb"),
        "maxmemory-policy": "noeviction",
    }


def process() -> Process:
    """The row of the process table."""
    user = paths.account()
    server, folder, address = binaries.valkey_server(user), paths.valkey_dir(), paths.valkey_socket()
    settings = {
        "port": "0",
        "unixsocket": str(address),
        "unixsocketperm": "700",
        "dir": str(folder),
        "pidfile": str(folder / "valkey.pid"),
        **policy(),
        "databases": str(DATABASES),
        "daemonize": "no",
        "loglevel": "warning",
    }
    return Process(
        name="valkey",
        argv=(str(server), *(part for key, value in settings.items() for part in (f"--{key}", value))),
        ready=lambda: is_ready(address),
        prepare=lambda: prepare(folder, address, user),
        env={"LC_ALL": "C", "PATH": os.defpath},
        inherit_env=False,
        account=user,
        stage=0,
    )


def is_ready(address: Path) -> bool:
    """PING over the socket; an answer of LOADING is not ready yet."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.3)
        try:
            client.connect(str(address))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def prepare(folder: Path, address: Path, user: Account | None) -> None:
    """Folders; a stale pid file, socket or orphaned server is cleared away. Idempotent."""
    private(folder, user)
    private(address.parent, user)
    pid = leftovers.read_pid(folder / "valkey.pid")
    if pid:
        leftovers.end(pid, str(address), signal.SIGTERM)
    (folder / "valkey.pid").unlink(missing_ok=True)
    address.unlink(missing_ok=True)
