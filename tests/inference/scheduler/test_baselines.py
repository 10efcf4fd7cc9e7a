"""The baselines do what the papers say they do, their unfairness included."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.protocol import Removal, Request, ServiceClass
from inference.scheduler.room import WaitingRoom
from tests.inference.scheduler.driving import admit, arrive, drain, pair, request, room


def admit_cached(s: WaitingRoom, cache: dict[str | None, int]) -> tuple[Request, ...]:
    def cached(r: Request) -> int:
        return min(r.input_len, cache.get(r.prefix, 0))

    unit = s.peek(lambda rs: True, cached, 1.0)
    for r in unit:
        s.admitted(r, r.input_len - cached(r))
    return unit


# -- FCFS --------------------------------------------------------------------------------------------------------------


def test_fcfs_is_the_order_of_arrival_whoever_asks() -> None:
    s = room("fcfs")
    came = [request(client, input_len=n) for client, n in [("a", 9), ("a", 1), ("b", 5), ("a", 1), ("b", 1)]]
    for now, r in enumerate(came):
        arrive(s, r, now=float(now))
    assert [admit(s)[0] for _ in came] == came


def test_fcfs_lets_a_client_sort_its_own_places_only() -> None:
    s = room("fcfs")
    first, other, second = request("a", order=2.0), request("b", order=0.0), request("a", order=1.0)
    for now, r in enumerate((first, other, second)):
        arrive(s, r, now=float(now))
    assert [admit(s)[0] for _ in range(3)] == [second, other, first]


def test_fcfs_keeps_everybodys_place_when_somebody_leaves() -> None:
    s = room("fcfs")
    a1, b, a2 = request("a"), request("b"), request("a")
    for now, r in enumerate((a1, b, a2)):
        arrive(s, r, now=float(now))
    s.removed(a1, Removal.CANCELLED)
    assert [admit(s)[0] for _ in range(2)] == [a2, b], "the place was the client's"


# -- LCF ---------------------------------------------------------------------------------------------------------------


def test_lcf_serves_who_comes_back_alone_until_it_has_caught_up() -> None:
    busy = [request("busy", input_len=10) for _ in range(30)]
    late = [request("late", input_len=10) for _ in range(12)]
    share = {}
    for name in ("lcf", "vtc"):
        s = room(name)
        arrive(s, *(request("busy", input_len=10) for _ in busy))
        for _ in range(10):
            admit(s)
        arrive(s, *(request("late", input_len=10) for _ in late))
        share[name] = drain(s)[:10].count("late")
    assert share == {"lcf": 10, "vtc": 5}


# -- RPM ---------------------------------------------------------------------------------------------------------------


def test_rpm_rejects_beyond_its_limit_in_an_idle_system_too_and_says_when_to_come_back() -> None:
    s = room("rpm", per_minute=2)
    arrive(s, request("a"), now=0.0)
    arrive(s, *pair("a"), now=10.0)
    drain(s)
    refusal = s.arrive(request("a"), 40.0)
    assert (refusal.accepted, refusal.retry_after_s) == (False, 20.0)
    assert "2 requests" in refusal.reason
    assert s.arrive(request("b"), 40.0).accepted
    assert s.arrive(request("a"), 60.5).accepted, "the first has left the window"
    assert not s.arrive(request("a"), 61.0).accepted


def test_rpm_is_fcfs_for_what_it_lets_in() -> None:
    s = room("rpm", per_minute=5)
    arrive(s, *(request(c) for c in "aaabba"))
    assert drain(s) == list("aaabba")


def test_rpm_remembers_so_many_clients_and_no_more() -> None:
    s = room("rpm", per_minute=1, max_counters=2)
    arrive(s, request("a"), request("b"), request("c"))
    assert not s.arrive(request("b"), 1.0).accepted
    assert s.arrive(request("a"), 1.0).accepted, "forgotten, the longest quiet one"


# -- DRR ---------------------------------------------------------------------------------------------------------------


def test_drr_serves_a_client_until_its_quantum_is_used_up() -> None:
    s = room("drr", quantum=25)
    arrive(s, *(request("a", input_len=10) for _ in range(6)), *(request("b", input_len=25) for _ in range(3)))
    assert drain(s) == ["a", "a", "a", "b", "a", "a", "b", "a", "b"], "five are owed in the second round"


def test_drr_output_is_a_debt_that_later_turns_pay() -> None:
    s = room("drr", quantum=20)
    r = request("a", input_len=10)
    arrive(s, r, *(request("a", input_len=10) for _ in range(2)), *(request("b", input_len=20) for _ in range(4)))
    assert admit(s) == (r,)
    s.decoded(r, 25)
    assert s.order.counters("a") == (40.0, 40.0)
    assert drain(s)[:4] == ["b", "b", "b", "a"], "two quanta of 20 to be level, a third to be served"


def test_drr_loses_what_is_left_over_when_a_client_goes() -> None:
    s = room("drr", quantum=100)
    r = request("a", input_len=1)
    arrive(s, r)
    admit(s)
    s.finished(r)
    assert s.order.counters("a") is None
    assert room("drr", pool_tokens=1000).order.quantum == 50  # type: ignore[attr-defined]


def test_drr_remembers_so_many_debtors_and_no_more() -> None:
    s = room("drr", quantum=1, max_counters=3)
    for i in range(20):
        r = request(f"c{i}", input_len=50)
        arrive(s, r)
        admit(s)
        s.finished(r)
    assert len(s.order._tabs) <= 4  # type: ignore[attr-defined]


# -- LPM ---------------------------------------------------------------------------------------------------------------


def test_lpm_takes_the_longest_cached_prefix_whoever_starves() -> None:
    s = room("lpm")
    cold = request("cold", input_len=90, prefix="c")
    arrive(s, cold)
    for i in range(50):
        arrive(s, request("hot", input_len=90, prefix="h"), now=float(i))
        assert admit_cached(s, {"h": 80, "c": 79})[0].client == "hot"
    assert admit_cached(s, {"h": 80, "c": 79}) == (cold,)


def test_lpm_is_fcfs_beyond_so_many_waiting() -> None:
    s = room("lpm", fcfs_beyond=3)
    arrive(s, *(request("a", input_len=9) for _ in range(3)), request("b", input_len=9, prefix="h"))
    assert admit_cached(s, {"h": 9})[0].client == "a"
    assert admit_cached(s, {"h": 9})[0].client == "b"
    endless = room("lpm", fcfs_beyond=None)
    arrive(endless, *(request("a", input_len=9) for _ in range(300)), request("b", input_len=9, prefix="h"))
    assert admit_cached(endless, {"h": 9})[0].client == "b"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(1, 50)), max_size=30))
@settings(max_examples=100, deadline=None)
def test_lpm_against_a_plain_search(waiting: list) -> None:
    s, cache = room("lpm"), {"x": 10, "y": 30, "z": 20}
    left = [request(client, input_len=n, prefix=prefix) for client, prefix, n in waiting]
    arrive(s, *left)
    while left:
        found = {r.id: min(r.input_len, cache[r.prefix or ""]) for r in left}
        (r,) = admit_cached(s, dict(cache))
        assert found[r.id] == max(found.values())
        left.remove(r)


# -- DLPM --------------------------------------------------------------------------------------------------------------


def test_dlpm_takes_the_longest_prefix_among_clients_with_a_deficit() -> None:
    s = room("dlpm", quantum=50)
    arrive(s, *(request("hot", input_len=60, prefix="h") for _ in range(4)))
    arrive(s, *(request("cold", input_len=60) for _ in range(2)))
    cache: dict[str | None, int] = {"h": 30}
    order = [admit_cached(s, cache)[0].client for _ in range(6)]
    assert order[:3] == ["hot", "hot", "cold"], "30 computed each: the second uses the quantum up"
    assert order.count("hot") == 4


def test_dlpm_gives_quanta_when_nobody_who_waits_has_any_left() -> None:
    s = room("dlpm", quantum=50)
    r = request("a", input_len=10)
    arrive(s, r, request("a", input_len=10))
    admit(s)
    s.decoded(r, 100)
    assert s.order.counters("a") == (160.0, 160.0)
    assert admit(s)[0].client == "a"
    assert s.order.counters("a") == (160.0 - 4 * 50 + 10, 160.0 - 4 * 50 + 10), "four quanta until one is left"


def test_dlpm_charges_by_class_and_looks_at_so_many() -> None:
    s = room("dlpm", candidates=1)
    r = request("a", klass=ServiceClass.EXAM, input_len=10)
    arrive(s, r, request("b", input_len=9, prefix="h"))
    assert admit_cached(s, {"h": 9}) == (r,), "the first of one candidate"
    assert s.order.counters("a") == (40.0 - 4000, 40.0 - 4000)


@pytest.mark.parametrize(
    ("name", "options"),
    [("rpm", {"per_minute": 0}), ("drr", {"quantum": 0}), ("dlpm", {"quantum": 0}), ("dlpm", {"candidates": 0})],
)
def test_options_are_checked(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        room(name, **options)
