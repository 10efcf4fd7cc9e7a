"""The run over all boards: one row says how the last one went, and an advisory lock whether it still goes on.

A killed process loses its connection and with it the lock, at once; its row has no end. A run that failed (the database went
away) has an error. Either is begun again by the next look (AGON_FIT_RESUME_S), so that an import, say, need not wait for the
schedule. A run beside another is not noted: the one that holds the lock keeps the row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from django.conf import settings
from django.db import connection

from arena import clock
from inference.logs import describe
from ranking.models import FitRun

LOCK = 0x61676F6E_0004
HELD = """
SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
  WHERE locktype = 'advisory' AND datname = current_database() AND classid = %s AND objid = %s AND objsubid = 1)
"""


@dataclass(slots=True)
class Account:
    """Boards of a run: looked at, fitted anew, failed, and those that the time did not suffice for."""

    looked: int = 0
    fitted: int = 0
    failed: int = 0
    waiting: int = 0
    error: str = ""


@contextmanager
def noted() -> Iterator[Account]:
    """Around a run: whoever runs fills in the account."""
    account = Account()
    if not _alone():
        yield account
        return
    try:
        _begin()
        yield account
    except Exception as error:
        account.error = describe(error)[:300]
        raise
    finally:
        _end(account)


def broken_off() -> bool:
    """Whether the last run was killed or failed. False after settings.FIT_RETRIES such runs in a row: the schedule tries on."""
    return FitRun.objects.unfinished().filter(interrupted__lt=settings.FIT_RETRIES).exists() and not going_on()


def going_on() -> bool:
    """Whether a run is under way, in whatever process."""
    with connection.cursor() as cursor:
        cursor.execute(HELD, [LOCK >> 32, LOCK & 0xFFFF_FFFF])
        return bool(cursor.fetchone()[0])


def _begin() -> None:
    last = FitRun.objects.unfinished().first()
    fresh = {"begun_at": clock.now(), "ended_at": None, "interrupted": last.interrupted + 1 if last else 0}
    FitRun.objects.update_or_create(id=1, defaults=fresh | asdict(Account()))


def _end(account: Account) -> None:
    try:
        FitRun.objects.update(ended_at=clock.now(), **asdict(account))
    finally:  # the connection may live on in a pool, and would keep the lock
        _leave()


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _leave() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
