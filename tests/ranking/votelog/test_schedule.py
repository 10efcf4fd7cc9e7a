"""Fixed moments: no event, no restart and no start of the site moves them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ranking.votelog import schedule

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
LENGTHS = st.integers(1, 10**7)


def test_six_hours_are_the_quarters_of_the_day() -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert schedule.slot(noon, 21_600) == noon
    assert schedule.slot(noon - timedelta(microseconds=1), 21_600) == noon - timedelta(hours=6)
    assert schedule.following(noon, 21_600) == noon + timedelta(hours=6)


@given(MOMENTS, LENGTHS)
def test_the_last_moment_is_the_greatest_multiple_that_has_passed(moment: datetime, every: int) -> None:
    last = schedule.slot(moment, every)
    assert last <= moment < last + timedelta(seconds=every)
    assert (last - schedule.EPOCH) % timedelta(seconds=every) == timedelta()
    assert schedule.slot(last, every) == last


@given(MOMENTS, st.integers(0, 10**7), LENGTHS)
def test_a_batch_is_never_before_its_delay_and_is_a_fixed_moment(moment: datetime, delay: int, every: int) -> None:
    batch = schedule.released_from(moment, delay, every)
    assert timedelta(seconds=delay) <= batch - moment < timedelta(seconds=delay + every)
    assert schedule.slot(batch, every) == batch


def test_without_a_length_every_moment_is_one() -> None:
    moment = datetime(2026, 11, 26, 12, 34, tzinfo=UTC)
    assert schedule.slot(moment, 0) == moment == schedule.following(moment, 0)
    assert schedule.released_from(moment, 0, 0) == moment
