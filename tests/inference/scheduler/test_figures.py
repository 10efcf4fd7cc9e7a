"""Aggregates of the queue and the figures of single clients, under every policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.scheduler.figures import WAIT_BUCKETS_S, Buckets
from inference.scheduler.protocol import OUTPUT_LEN, Removal
from inference.scheduler.registry import POLICIES
from tests.inference.scheduler.driving import admit, arrive, drain, pair, request, room

KNOWN = {"meta": {OUTPUT_LEN: 4}}


@given(st.lists(st.floats(0, 400), max_size=50))
def test_buckets_count_every_value_at_its_bound(values: list[float]) -> None:
    buckets = Buckets(WAIT_BUCKETS_S)
    for value in values:
        buckets.observe(value)
    cumulative = [sum(buckets.counts[: i + 1]) for i in range(len(WAIT_BUCKETS_S))]
    assert cumulative == [sum(value <= bound for value in values) for bound in WAIT_BUCKETS_S]
    assert sum(buckets.counts) == len(values)
    assert buckets.total == pytest.approx(sum(values))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_admissions_waits_refusals_and_sheds_are_counted_in_units(name: str) -> None:
    s = room(name, max_waiting_per_client=2, max_waiting=3)
    arrive(s, *pair("a", "net", input_len=3, **KNOWN), request("a", "net", input_len=3, **KNOWN))
    assert not s.arrive(request("a", "net", **KNOWN), 0.0).accepted
    arrive(s, request("b", input_len=5, **KNOWN))
    assert s.arrive(request("c", input_len=9, **KNOWN), 0.5).shed != ()
    found = s.figures()
    assert (found.refused, found.shed, found.expired, found.admissions) == (1, 1, 0, 0)
    assert (found.waiting, found.active) == (3, 3)
    drain(s, now=2.0)
    found = s.figures()
    assert (found.admissions, found.waiting, found.active, found.spread) == (3, 0, 0, 0.0)
    assert sum(found.waits.counts) == 3
    assert found.waits.total == pytest.approx(2.0 + 2.0 + 1.5)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_early_aborts_are_counted_and_cancellations_are_not(name: str) -> None:
    s = room(name, slo_s=6.0)
    both = pair("a", input_len=3, **KNOWN)
    gone = request("b", **KNOWN)
    arrive(s, *both, gone)
    s.removed(gone, Removal.CANCELLED)
    assert {r.id for r in s.expired(5.5)} == {r.id for r in both}
    assert (s.figures().expired, s.figures().waiting) == (1, 0)


def test_the_spread_is_that_of_groups_that_wait() -> None:
    s = room("vtc")
    arrive(s, *(request("a", "net", input_len=30) for _ in range(2)), *(request("b", input_len=10) for _ in range(2)))
    assert s.figures().spread == 0
    admit(s), admit(s)
    assert s.figures().spread == 20
    admit(s)
    assert s.figures().spread == 0, "b has nothing waiting any more"


def test_clients_are_told_most_served_first_then_who_waits_unserved() -> None:
    s = room("vtc")
    arrive(s, request("a", "net", input_len=30), request("a", "net", input_len=30), request("b", input_len=70))
    for now in (1.0, 3.0):
        admit(s, now=now)
    arrive(s, request("new", "flat"), *(request("newer") for _ in range(2)))
    told = s.clients(10)
    assert [(c.client, c.group, c.service, c.waiting, c.admissions) for c in told] == [
        ("b", "", 70, 0, 1),
        ("a", "net", 30, 1, 1),
        ("newer", "", 0, 2, 0),
        ("new", "flat", 0, 1, 0),
    ]
    assert (told[0].counter, told[0].group_counter, told[0].mean_wait_s, told[0].longest_wait_s) == (70, 70, 3.0, 3.0)
    assert [c.client for c in s.clients(3)] == ["b", "a", "newer"]
    assert [c.client for c in s.clients(1)] == ["b"]
    assert room("fcfs").clients(5) == []


def test_a_policy_without_counters_says_so() -> None:
    s = room("fcfs")
    arrive(s, request("a", input_len=3))
    admit(s)
    (told,) = s.clients(5)
    assert (told.counter, told.group_counter) == (None, None)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_scheduler_knows_its_name(name: str) -> None:
    assert room(name).policy == name
