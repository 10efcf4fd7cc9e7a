"""Token buckets on a real Valkey: bursts, refill, both buckets or none, and what happens when it is down."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import redis

from arena import limits
from arena.errors import Refused


@pytest.fixture(autouse=True)
def rates(settings, valkey: redis.Redis) -> None:
    settings.LIMIT_VISITOR_BURST, settings.LIMIT_VISITOR_PER_MINUTE = 3, 6
    settings.LIMIT_PREFIX_BURST, settings.LIMIT_PREFIX_PER_MINUTE = 5, 60


def test_a_burst_passes_and_the_next_waits() -> None:
    visitor = uuid4()
    assert [limits.take(visitor, "g") for _ in range(3)] == [0.0] * 3
    assert 9 < limits.take(visitor, "g") <= 10


def test_fresh_cookies_share_the_prefix() -> None:
    assert [limits.take(uuid4(), "g") for _ in range(5)] == [0.0] * 5
    assert 0 < limits.take(uuid4(), "g") <= 1
    assert limits.take(uuid4(), "other") == 0.0


def test_a_refused_request_costs_nothing(valkey: redis.Redis) -> None:
    visitor = uuid4()
    for _ in range(3):
        limits.take(visitor, "g")
    before = valkey.hget("limit:prefix:g", "tokens")
    for _ in range(20):
        assert limits.take(visitor, "g") > 0
    assert valkey.hget("limit:prefix:g", "tokens") == before
    assert limits.take(uuid4(), "g") == 0.0


def test_tokens_come_back(settings) -> None:
    settings.LIMIT_VISITOR_PER_MINUTE = settings.LIMIT_PREFIX_PER_MINUTE = 600
    visitor = uuid4()
    for _ in range(3):
        limits.take(visitor, "g")
    wait = limits.take(visitor, "g")
    assert 0 < wait <= 0.1
    time.sleep(wait + 0.02)
    assert limits.take(visitor, "g") == 0.0


def test_a_bucket_never_holds_more_than_its_burst(settings, valkey: redis.Redis) -> None:
    visitor = uuid4()
    limits.take(visitor, "g")
    valkey.hset(f"limit:visitor:{visitor.hex}", "at", "1")  # long ago
    assert [limits.take(visitor, "g") > 0 for _ in range(4)] == [False, False, False, True]


def test_a_clock_that_jumped_back_gives_no_tokens_and_takes_none(valkey: redis.Redis) -> None:
    visitor = uuid4()
    limits.take(visitor, "g")
    valkey.hset(f"limit:visitor:{visitor.hex}", "at", "99999999999")
    assert [limits.take(visitor, "g") > 0 for _ in range(3)] == [False, False, True]


def test_many_at_once_get_exactly_the_burst(settings) -> None:
    settings.LIMIT_PREFIX_PER_MINUTE = 1
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: limits.take(uuid4(), "g"), range(60)))
    assert sum(wait == 0 for wait in waits) == 5


def test_buckets_are_forgotten_when_full_again(valkey: redis.Redis) -> None:
    visitor = uuid4()
    limits.take(visitor, "g")
    assert 0 < valkey.ttl(f"limit:visitor:{visitor.hex}") <= 31
    assert 0 < valkey.ttl("limit:prefix:g") <= 6


def test_the_refusal_says_when_to_come_back() -> None:
    visitor = uuid4()
    for _ in range(3):
        limits.charge(visitor, "g")
    with pytest.raises(Refused, match="10 seconds") as refused:
        limits.charge(visitor, "g")
    assert (refused.value.status, refused.value.code) == (429, "too_fast")
    assert 9 < refused.value.retry_after <= 10


def test_the_script_survives_a_restart_of_valkey(valkey: redis.Redis) -> None:
    limits.take(uuid4(), "g")
    valkey.script_flush()
    assert limits.take(uuid4(), "g") == 0.0


def test_without_valkey_the_answer_is_a_clear_no(settings, tmp_path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock?db=0"
    with pytest.raises(Refused, match="try again") as refused:
        limits.charge(uuid4(), "g")
    assert (refused.value.status, refused.value.code) == (503, "limits_unavailable")
    assert refused.value.retry_after > 0
