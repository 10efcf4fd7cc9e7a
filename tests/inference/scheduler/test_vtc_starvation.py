"""Whoever has waited, or has nothing else here, is not starved by warm prefixes: VTC + slack locality by example."""

from __future__ import annotations

from tests.inference.scheduler.driving import arrive, request, room
from tests.inference.scheduler.warm import admit


def test_who_has_nothing_else_here_waits_for_the_next_place_only() -> None:
    """A flood with warm prefixes, all places taken, its next choice made: one cold question still goes before it."""
    s = room("vtc_locality", slack=1000)
    flood = [request("flood", "crowd", input_len=90, prefix="hot", arrival=float(i)) for i in range(8)]
    arrive(s, *flood)
    running = admit(s, {"hot": 90})[0]
    assert s.peek(lambda rs: False, lambda r: 90 if r.prefix else 0, 1.0) == ()
    quiet = request("quiet", "home", input_len=90, arrival=9.0)
    arrive(s, quiet)
    s.finished(running)
    assert admit(s, {"hot": 90}) == (quiet,)
    arrive(s, request("quiet", "home", input_len=90, arrival=10.0))
    assert admit(s, {"hot": 90})[0].client == "flood", "it has something running now: the prefix decides again"


def test_who_has_nothing_else_here_gets_no_place_beyond_the_slack() -> None:
    s = room("vtc_locality", slack=50)
    arrive(s, request("a", input_len=9), request("b", input_len=9), request("b", input_len=9))
    s.add_service("a", 60.0)
    assert [admit(s)[0].client for _ in range(3)] == ["b", "b", "a"]


def test_fresh_cookies_are_one_group_that_has_something_running() -> None:
    s = room("vtc_locality", slack=1000)
    arrive(s, request("cookie0", "crowd", input_len=10))
    admit(s)
    arrive(s, request("cookie1", "crowd", input_len=10), request("warm", "home", input_len=10, prefix="hot"))
    arrive(s, request("warm", "home", input_len=10, prefix="hot"))
    assert admit(s, {"hot": 10})[0].client == "warm"


def test_inside_a_group_the_client_with_nothing_else_goes_first() -> None:
    s = room("vtc_locality", slack=1000)
    arrive(s, *(request("flood", "school", input_len=10, prefix="hot") for _ in range(3)))
    admit(s, {"hot": 10})
    arrive(s, request("pupil", "school", input_len=10))
    assert admit(s, {"hot": 10})[0].client == "pupil"


def test_cold_requests_do_not_starve_behind_newcomers_with_hot_prefixes() -> None:
    """A new group with a cached prefix in every step would be preferred for ever: each is lifted to the least counter."""
    s = room("vtc_locality", patience=10)
    cold = request("cold", input_len=50)
    arrive(s, cold)
    for i in range(11):
        arrive(s, request(f"fresh{i}", input_len=50, prefix="hot"))
        unit = admit(s, {"hot": 50})
        if unit == (cold,):
            break
        s.finished(unit[0])
    assert (i, unit) == (10, (cold,))


def test_an_old_request_does_not_starve_behind_its_own_clients_hot_ones() -> None:
    s = room("vtc_locality", patience=10)
    cold = request("a", input_len=50, prefix="cold")
    arrive(s, cold)
    for i in range(11):
        arrive(s, request("a", input_len=50, prefix="hot", arrival=1.0 + i))
        if admit(s, {"hot": 50}) == (cold,):
            break
    assert i == 10


def test_who_comes_back_is_passed_by_nobody_who_has_been_waiting() -> None:
    s = room("vtc_locality", slack=10**6)
    first = request("busy", input_len=50, prefix="hot")
    arrive(s, first, *(request("busy", input_len=50, prefix="hot", arrival=float(i)) for i in range(1, 9)))
    assert admit(s, {"hot": 50}) == (first,)
    assert s.peek(lambda rs: False, lambda r: 50, 1.0) == (), "its next one is chosen and waits for memory"
    guest = request("guest", "home", input_len=50, prefix="cold", arrival=20.0)
    arrive(s, guest)
    assert admit(s, {"hot": 50}) == (guest,), "a choice that stands gives way, too"
    assert admit(s, {"hot": 50})[0].client == "busy"
    arrive(s, request("guest", "home", input_len=50, prefix="cold", arrival=30.0))
    friend = request("friend", "flat", input_len=50, prefix="hot", arrival=31.0)
    arrive(s, friend)
    assert admit(s, {"hot": 50}) == (friend,), "among those who have come the longest prefix goes first"
