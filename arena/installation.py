"""Steps that bring an installation's data up to date. Each does nothing, quickly, when there is nothing to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command, get_commands
from django.db import OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from psycopg.errors import LockNotAvailable

from arena import staff

MIGRATION_LOCK = 0x61676F6E  # "agon"; advisory locks are numbers
LOCK_WAIT_MS = 60_000
TABLE_LOCK_WAIT_MS = 5_000  # a migration that waits for a busy table gives up instead of stopping the site


class TableBusy(RuntimeError):
    """A migration gave up waiting for a table that somebody uses; what came before it is applied, the rest is not."""


def migrate() -> int:
    """Apply what is missing and put the staff groups right, one process at a time. Returns how many migrations were applied.

    Raises TableBusy.
    """
    with _advisory_lock(MIGRATION_LOCK):
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [str(TABLE_LOCK_WAIT_MS)])
            with _tables_free():
                call_command("migrate", verbosity=0, interactive=False)
        staff.install()
    return len(plan)


def seed_demo() -> bool:
    """The demo roster and its synthetic battles. Returns whether this edition has a demo to seed."""
    if "seed_demo" not in get_commands():
        return False
    call_command("seed_demo", verbosity=0)
    return True


def collect_static() -> None:
    """Copy, hash and compress the static files into STATIC_ROOT; production serves nothing else."""
    call_command("collectstatic", verbosity=0, interactive=False)


def follow_engine() -> None:
    """The rows of our own engine follow AGON_ENGINE_URL and folders that moved."""
    from arena.demo import refresh

    refresh()


def disconnect() -> None:
    """Close every connection and pool, so that no thread of a pool is alive when processes are started."""
    for alias in connections:
        connections[alias].close()
        close_pool = getattr(connections[alias], "close_pool", None)
        if close_pool:
            close_pool()


@contextmanager
def _tables_free() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        words = f"a migration waited {TABLE_LOCK_WAIT_MS // 1000} s for a table that is in use and gave up"
        raise TableBusy(f"{words}: stop the workers (or whatever holds it), then try again") from error


@contextmanager
def _advisory_lock(key: int) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [str(LOCK_WAIT_MS)])
        cursor.execute("SELECT pg_advisory_lock(%s)", [key])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
            cursor.execute("RESET lock_timeout")
