"""Threads with connections of their own, and an absorber that is killed while it works."""

import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, connection, connections, transaction

from ranking import counts


def threads(*jobs: Callable[[], None]) -> None:
    """Run each job in a thread with a connection of its own; what one raises, the test raises."""
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 (handed to the test below)
            failures.append(error)
        finally:
            connections.close_all()

    running = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    if failures:
        raise failures[0]


def kill_an_absorber(hold: Callable[[], object], verb: Callable[[], object] = counts.absorb) -> None:
    """Ends the connection of an absorber (or of another `verb`) that waits for what `hold` locks in its transaction."""
    backend: list[int] = []
    outcome: list[str] = []

    def absorb() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backend.extend(cursor.fetchone())
        try:
            verb()
        except DatabaseError:
            outcome.append("killed")

    def kill() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            hold()
            worker = threading.Thread(target=lambda: threads(absorb))
            worker.start()
            while not waits_for_a_lock(cursor, backend):
                time.sleep(0.01)
            cursor.execute("SELECT pg_terminate_backend(%s)", backend)
            worker.join(30)

    threads(kill)
    assert outcome == ["killed"]


def waits_for_a_lock(cursor: object, backend: list[int]) -> bool:
    if not backend:
        return False
    cursor.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", backend)  # type: ignore[attr-defined]
    return cursor.fetchone() == ("Lock",)  # type: ignore[attr-defined]
