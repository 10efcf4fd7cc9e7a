"""The fixed moments of publishing: multiples of a length of time since 1970, so that no event and no restart shifts them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slot(moment: datetime, every_s: float) -> datetime:
    """The last fixed moment at or before `moment`. With `every_s` = 0 every moment is one."""
    if not every_s:
        return moment
    every = timedelta(seconds=every_s)
    return EPOCH + (moment - EPOCH) // every * every


def following(moment: datetime, every_s: float) -> datetime:
    """The first fixed moment after `moment`."""
    return slot(moment, every_s) + timedelta(seconds=every_s)


def released_from(sealed_at: datetime, delay_s: float, every_s: float) -> datetime:
    """The batch an exclusion belongs to: the first fixed moment that is `delay_s` or more after it was sealed."""
    earliest = sealed_at + timedelta(seconds=delay_s)
    last = slot(earliest, every_s)
    return last if last == earliest else following(earliest, every_s)
