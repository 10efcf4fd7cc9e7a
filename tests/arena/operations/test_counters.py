"""Counters: nothing twice, nothing lost between two ticks, and what happens when Valkey or the worker was away."""

from collections import Counter
from datetime import timedelta
from threading import Thread

import pytest
import redis
from django.db import connections

from arena import clock
from arena.models import Reply
from arena.operations import counters
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch):
    """Set the clock: at(seconds from now)."""
    real = clock.now()

    def to(seconds: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: real + timedelta(seconds=seconds))

    return to


def totals(valkey: redis.Redis) -> dict[tuple[str, ...], float]:
    return dict(counters.totals(valkey))


def test_each_row_is_counted_once_whenever_it_came(valkey: redis.Redis, at) -> None:
    counters.advance(valkey, {})
    assert totals(valkey) == {}
    at(1)
    factories.ready()
    at(2)
    counters.advance(valkey, {})
    assert not totals(valkey).get(("battles",)), "younger than LAG: it may not be visible to everybody yet"
    for seconds in (8, 8, 20, 40):
        at(seconds)
        counters.advance(valkey, {})
        assert totals(valkey)["battles",] == 1
        assert totals(valkey)["replies", "done", "stop", ""] == 2
        assert totals(valkey)["tokens", "", "in"] == 10
    at(41)
    factories.ready()
    at(60)
    counters.advance(valkey, {})
    assert totals(valkey)["battles",] == 2


def test_two_workers_at_once_count_once(valkey: redis.Redis, at, monkeypatch: pytest.MonkeyPatch) -> None:
    counters.advance(valkey, {})
    at(1)
    factories.ready()
    at(10)

    def advance() -> None:
        counters.advance(valkey, {})
        connections.close_all()

    threads = [Thread(target=advance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals(valkey)["battles",] == 1


def test_after_a_loss_of_valkey_they_begin_at_zero_and_after_a_long_absence_with_the_last_hour(
    valkey: redis.Redis, at, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[timedelta] = []
    counters.advance(valkey, {})
    at(24 * 3600)
    monkeypatch.setattr(counters, "since", lambda begin, end, prices: asked.append(end - begin) or Counter())
    counters.advance(valkey, {})
    assert asked == [counters.MOST]
    valkey.flushdb()
    counters.advance(valkey, {})
    assert len(asked) == 1 and totals(valkey) == {}


def test_times_fall_into_the_right_buckets(valkey: redis.Redis) -> None:
    turn = factories.started()
    factories.finish(turn)
    moment = clock.now()
    for side, first, full in (("a", 0.2, 0.7), ("b", 400.0, 1000.0)):
        Reply.objects.filter(turn=turn, side=side).update(
            started_at=moment - timedelta(seconds=full),
            first_token_at=moment - timedelta(seconds=full - first),
            finished_at=moment,
        )
    gained = counters.since(moment - timedelta(seconds=1), moment + timedelta(seconds=1), {})
    last = str(len(counters.FIRST_TOKEN_S))
    assert gained["first_token", "", "1"] == 1 and gained["first_token", "", last] == 1
    assert gained["first_token", "", "sum"] == pytest.approx(400.2)
    assert gained["duration", "", "1"] == 1 and gained["duration", "", str(len(counters.DURATION_S))] == 1
