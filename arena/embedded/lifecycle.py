"""Which embedded servers this installation needs, who may manage them, and start/stop for scripts and tests."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arena.embedded import paths, postgres, valkey
from arena.embedded.folders import private
from arena.supervisor.process import Process, launch, stop


class AlreadyManaged(RuntimeError):
    """Another process runs the servers of this installation."""


def servers(durable: bool = True) -> list[Process]:
    """Rows for what no URL names: PostgreSQL without DATABASE_URL, Valkey without REDIS_URL."""
    rows = []
    if not paths.named("DATABASE_URL"):
        rows.append(postgres.process(durable))
    if not paths.named("REDIS_URL"):
        rows.append(valkey.process())
    return rows


@contextmanager
def management() -> Iterator[Path]:
    """The lock of this installation: one manager at a time. The kernel frees it however the holder ends."""
    var = paths.var_dir()
    if not var.exists():
        var.mkdir(parents=True)
        var.chmod(0o711)  # the servers' user passes through; everything below has its own mode
    path = private(paths.run_dir(), None) / "lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyManaged(lock.read().strip() or "another process is starting") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield path


@contextmanager
def running(durable: bool = True) -> Iterator[None]:
    """Run the embedded servers for the length of a `with` block, from the main thread."""
    with management():
        children = []
        try:
            for row in servers(durable):
                with (paths.run_dir() / f"{row.name}.log").open("ab") as log:
                    child = launch(row, paths.PROJECT, log)
                children.append((child, row))
            for child, row in children:
                wait_until_ready(row, child)
            if not paths.named("DATABASE_URL"):
                postgres.ensure_database()
            yield
        finally:
            for child, row in reversed(children):
                stop(child, row)


def wait_until_ready(
    row: Process, child: subprocess.Popen[bytes], patience_s: float = postgres.START_TIMEOUT_S
) -> None:
    """Return when the server answers. Raises RuntimeError when it ends first or takes too long."""
    deadline = time.monotonic() + patience_s
    while not row.ready():
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{row.name} did not start; its log: {paths.run_dir() / f'{row.name}.log'}")
        time.sleep(0.01)
