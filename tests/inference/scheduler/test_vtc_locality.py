"""VTC + slack locality by example. Also: test_vtc_starvation.py, test_vtc_properties.py (the bound), test_step_costs.py."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.protocol import Request
from inference.scheduler.room import WaitingRoom
from inference.scheduler.vtc_locality import RESERVE
from tests.inference.scheduler.driving import arrive, pair, request, room
from tests.inference.scheduler.warm import Cache, admit


def counter(s: WaitingRoom, client: str) -> float:
    found = s.order.counters(client)
    assert found is not None
    return found[0]


def test_inside_the_slack_the_longest_cached_prefix_goes_first() -> None:
    s = room("vtc_locality", slack=100)
    cold = request("a", input_len=80, prefix="x")
    warm = request("b", input_len=80, prefix="y", arrival=1.0)
    arrive(s, cold, warm)
    assert admit(s, {"y": 64}) == (warm,)
    assert counter(s, "b") == 16, "only what had to be computed is charged"
    assert admit(s, {"y": 64}) == (cold,)


def test_outside_the_slack_nothing_helps() -> None:
    s = room("vtc_locality", slack=100)
    first = request("b", input_len=101, prefix="y")
    arrive(s, first, request("b", input_len=80, prefix="y"))
    arrive(s, *(request("a", input_len=80, prefix="x") for _ in range(2)))
    assert admit(s, {"y": 50}) == (first,)
    s.decoded(first, 25)
    assert counter(s, "b") == 101
    assert admit(s, {"y": 80})[0].client == "a"


def test_groups_are_held_to_the_slack_as_clients_are() -> None:
    s = room("vtc_locality", slack=50)
    arrive(
        s,
        request("x", "net", input_len=60),
        request("y", "net", input_len=9, prefix="hot"),
        request("z", "home", input_len=9),
        request("z", "home", input_len=9),
    )
    assert admit(s)[0].client == "x"
    assert admit(s, {"hot": 9})[0].client == "z", "y is least in its group, but the group is 60 ahead"


def test_ties_go_to_the_lower_counter_then_to_the_prefix_that_most_share_then_to_the_older() -> None:
    s = room("vtc_locality", slack=1000)
    ahead = request("a", input_len=10)
    arrive(s, ahead, request("a", input_len=10, arrival=1.0))
    admit(s)
    arrive(s, *(request("b", input_len=10, arrival=2.0 + i, prefix=p) for i, p in enumerate(("p", "q", "q"))))
    s.add_service("a", 5.0)
    assert (counter(s, "a"), counter(s, "b")) == (15, 10)
    order = [admit(s)[0] for _ in range(4)]
    assert [(r.client, r.prefix) for r in order] == [("b", "q"), ("a", None), ("b", "p"), ("b", "q")]


def test_an_explicit_order_inside_a_client_is_kept() -> None:
    s = room("vtc_locality")
    arrive(s, request("a", input_len=9, order=1.0, prefix="x"), request("a", input_len=9, order=2.0, prefix="hot"))
    assert admit(s, {"hot": 9})[0].order == 1.0


def test_a_pair_counts_what_both_sides_find() -> None:
    s = room("vtc_locality")
    both = pair("a", input_len=10, prefix="half")
    arrive(s, request("b", input_len=10, prefix="most"), *both)
    assert admit(s, {"most": 7, "half": 5}) == both


def test_once_the_limit_of_adapters_runs_those_that_run_come_first() -> None:
    s = room("vtc_locality", max_adapters=2, slack=1000)
    one, two = request("a", adapter="one"), request("b", adapter="two")
    arrive(s, one, two)
    admit(s), admit(s)
    new = request("c", adapter="three", input_len=90, prefix="hot")
    same, base = request("d", adapter="two", input_len=9), request("e", input_len=9)
    arrive(s, new, same, base)
    assert admit(s, {"hot": 90}) == (same,)
    assert admit(s, {"hot": 90}) == (base,), "the base model needs no adapter"
    assert admit(s, {"hot": 90}) == (new,), "nothing else waits: it is not for the policy to idle"
    s.finished(one), s.finished(two), s.finished(same), s.finished(new)
    arrive(s, request("c", adapter="four", input_len=90, prefix="hot"), request("d", adapter="two"))
    assert admit(s, {"hot": 90})[0].adapter == "four", "no limit is reached"


def test_clustering_never_leaves_the_slack() -> None:
    s = room("vtc_locality", max_adapters=1, slack=50)
    runs = request("a", adapter="one", input_len=100)
    arrive(s, runs, request("a", adapter="one", input_len=1))
    arrive(s, *(request("b", adapter="two", input_len=1) for _ in range(2)))
    admit(s)
    assert admit(s)[0].adapter == "two"


def test_a_choice_that_does_not_fit_stands_and_costs_no_look_ups() -> None:
    s = room("vtc_locality", slack=100)
    large = request("a", input_len=90, prefix="x")
    arrive(s, large)
    looked: list[str] = []

    def cached(r: Request) -> int:
        looked.append(r.id)
        return 50 if r.prefix == "x" else 1

    arrive(s, *(request("b", input_len=9) for _ in range(2)))
    assert s.peek(lambda rs: False, cached, 1.0) == ()
    arrive(s, *(request("b", input_len=9) for _ in range(50)))
    looked.clear()
    assert s.peek(lambda rs: False, cached, 1.0) == ()
    assert looked == []
    assert s.peek(lambda rs: True, cached, 1.0) == (large,)
    assert looked != []


def test_a_choice_whose_client_leaves_the_slack_meanwhile_is_made_again() -> None:
    s = room("vtc_locality", slack=100)
    running = request("a", input_len=1)
    arrive(s, running)
    admit(s)
    arrive(s, request("a", input_len=90, prefix="hot"), request("b", input_len=9))
    assert s.peek(lambda rs: False, lambda r: 90 if r.prefix else 0, 1.0) == ()
    s.decoded(running, 60)
    assert s.peek(lambda rs: rs[0].client == "b", lambda r: 90 if r.prefix else 0, 1.0)[0].client == "b"


def test_upcoming_tells_whose_adapters_to_fetch() -> None:
    s = room("vtc_locality")
    running = request("z", adapter="zero", input_len=5)
    arrive(s, running)
    admit(s)
    arrive(s, request("a", adapter="one", input_len=10), request("b", adapter="two", input_len=9, prefix="hot"))
    arrive(s, *pair("a", input_len=1, adapter="both", arrival=1.0))
    s.peek(lambda rs: False, lambda r: 9 if r.prefix else 0, 1.0)
    s.preempted(running)
    assert [r.adapter for r in s.upcoming(3)] == ["zero", "two", "one"]
    assert [r.adapter for r in s.upcoming(99)] == ["zero", "two", "one", "both", "both"]
    assert s.upcoming(0) == []


def best_of_all(
    s: WaitingRoom, left: dict[str, Request], running: list[Request], cache: Cache, slack: float
) -> set[str]:
    """By a plain search: the requests of best rank among those that may go next."""
    count = {r.client: counter(s, r.client) for r in left.values()}
    least, served, run = min(count.values()), {r.client for r in running}, running[-1].prefix if running else None
    come = any(c == least and client not in served for client, c in count.items())
    heads = {(r.client, r.prefix or r.id): r for r in sorted(left.values(), key=lambda r: -r.arrival)}.values()
    have = Counter(r.client for r in (*left.values(), *running))

    def rank(r: Request) -> tuple[bool, int, bool, float]:
        cached = min(r.input_len, cache.get(r.prefix, 0))
        goes_on = cached > 0 and r.prefix == run
        return goes_on or count[r.client] <= least + (1 - RESERVE) * slack, cached, goes_on, -count[r.client]

    def affordable(r: Request) -> bool:
        charge = r.input_len - min(r.input_len, cache.get(r.prefix, 0))
        return count[r.client] == least or count[r.client] + charge <= least + slack

    lone = [r for r in heads if have[r.client] == 1 and affordable(r)]
    others = [r for r in heads if affordable(r) and not (come and r.client in served)]
    best = max(map(rank, lone or others))
    return {r.id for r in lone or others if rank(r) == best}


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "x", "y", "z"]), st.integers(1, 50)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_what_is_chosen_is_best_of_all_in_the_slack(waiting: list) -> None:
    """Nothing that stays inside the slack has a longer prefix or, for equal ones, is of the run or has a lower counter.

    Those with nothing else here come before all others; where the least served has just come, so must have whoever passes it.
    """
    s = room("vtc_locality", slack=40, candidates=10**6, patience=10**6)
    cache: Cache = {"x": 30, "y": 10}
    arrive(
        s, *(request(f"c{i}", input_len=n, prefix=p or None, arrival=float(k)) for k, (i, p, n) in enumerate(waiting))
    )
    left = {r.id: r for r in s.upcoming(10**6)}
    running: list[Request] = []
    while left:
        best = best_of_all(s, left, running, cache, 40)
        (r,) = admit(s, cache)
        assert r.id in best
        running.append(left.pop(r.id))


def test_nobody_leaves_the_slack_by_what_it_reads() -> None:
    s = room("vtc_locality", slack=100)
    first = request("a", input_len=30, prefix="x")
    arrive(s, first, request("a", input_len=80, prefix="x"), request("b", input_len=80), request("b", input_len=80))
    assert admit(s, {"x": 30}) == (first,)
    s.decoded(first, 20)
    assert counter(s, "a") == 40
    assert admit(s, {"x": 15})[0].client == "b", "a would pay 65 more than its 40"
    assert admit(s, {"x": 15})[0].client == "a", "now it is the least"


def test_a_run_goes_on_to_the_end_of_the_slack_and_another_begins_only_with_enough_of_it_left() -> None:
    s, hot = room("vtc_locality", slack=100, reserve=0.5), {"x": 10, "y": 10}
    for client, prefix in ("ax", "by", "cz"):
        arrive(s, *(request(client, input_len=30, prefix=prefix, arrival=float(i)) for i in range(9)))
    order = "".join(admit(s, hot)[0].client for _ in range(18))
    # Each is served once, which costs a and b 20 and c 30. Then a run takes five to leave the slack, first of a (120), then of b
    # (120 where c has 30). c begins, for a and b are less than half the slack above it only when it has 90; then a has 3 more.
    assert order == "abc" + "aaaaa" + "bbbbb" + "cc" + "aaa"


def test_options_are_checked() -> None:
    for wrong in ({"slack": -1}, {"candidates": 0}, {"patience": 0}, {"max_adapters": 0}, {"reserve": 2}):
        with pytest.raises(ValueError):
            room("vtc_locality", **wrong)
