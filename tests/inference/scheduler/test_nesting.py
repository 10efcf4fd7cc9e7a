"""Counters nest network -> client: fresh cookies earn nothing, and the members of a network share what it gets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.registry import make_scheduler
from inference.scheduler.room import WaitingRoom
from tests.inference.scheduler.driving import request, room

NESTED = ["vtc", "vtc_predicted", "vtc_credibility", "vtc_locality", "vtc_locality_credibility"]
SLOTS, LENGTH, INPUT = 4, 10, 20
UNIT = INPUT + 2 * LENGTH


def shares(s: WaitingRoom, crowd: int, steps: int, fresh: bool) -> dict[str, float]:
    """Service of two networks that always have requests waiting: `home` is one client; the other uses `crowd` cookies.

    `fresh`: each request of the crowd comes under a cookie that nobody has seen.
    """
    running: dict[str, tuple[object, int]] = {}
    got = {"home": 0.0, "crowd": 0.0}
    backlog = {"home": 0, "crowd": 0}
    made = 0
    for step in range(steps):
        for group in ("crowd", "home"):
            while backlog[group] < (2 * SLOTS if group == "home" else 2 * max(crowd, SLOTS)):
                made += 1
                cookie = made if fresh else made % crowd
                client = "home" if group == "home" else f"cookie{cookie}"
                assert s.arrive(request(client, group, input_len=INPUT, max_output=LENGTH), float(step)).accepted
                backlog[group] += 1
        while unit := s.peek(lambda rs: len(running) + len(rs) <= SLOTS, lambda r: 0, float(step)):
            for r in unit:
                s.admitted(r, r.input_len)
                running[r.id] = r, step + LENGTH
                got[r.group] += INPUT
                backlog[r.group] -= 1
        for key, (r, end) in list(running.items()):
            s.decoded(r, 1)  # type: ignore[arg-type]
            got[r.group] += 2  # type: ignore[attr-defined]
            if step + 1 >= end:
                s.finished(r)  # type: ignore[arg-type]
                del running[key]
    return got


@pytest.mark.parametrize("name", NESTED)
@given(crowd=st.integers(1, 30), fresh=st.booleans())
@settings(max_examples=15, deadline=None)
def test_fresh_cookies_under_one_network_earn_no_extra_share(name: str, crowd: int, fresh: bool) -> None:
    """However many cookies, the two networks differ by no more than the bound allows: 2 (U + Q), U of the places here."""
    slack = 100.0
    options = {"slack": slack} if "locality" in name else {}
    got = shares(room(name, **options), crowd, 400, fresh)
    advance = 1 if name in ("vtc", "vtc_locality") else 2
    assert abs(got["crowd"] - got["home"]) <= 2 * (advance * SLOTS * UNIT + options.get("slack", 0.0))
    assert got["crowd"] <= 0.6 * sum(got.values())


@pytest.mark.parametrize("name", ["fcfs", "rpm", "drr"])
def test_without_nesting_they_do(name: str) -> None:
    """The measure can fail: policies that count clients, or nothing, give the crowd what it asks for."""
    options = {"per_minute": 10**6} if name == "rpm" else {}
    got = shares(room(name, **options), 20, 400, fresh=name != "drr")
    assert got["crowd"] > 0.75 * sum(got.values())


@given(st.lists(st.integers(1, 5), min_size=2, max_size=6))
@settings(max_examples=50, deadline=None)
def test_members_of_a_network_share_evenly_whatever_they_ask(appetites: list[int]) -> None:
    s = make_scheduler("vtc", max_waiting_per_client=10**6, max_waiting=10**6)
    for i, appetite in enumerate(appetites):
        for _ in range(40 * appetite):
            s.arrive(request(f"m{i}", "net", input_len=10 * appetite), 0.0)
    got = dict.fromkeys((f"m{i}" for i in range(len(appetites))), 0)
    for _ in range(40):
        (r,) = s.peek(lambda rs: True, lambda r: 0, 0.0)
        s.admitted(r, r.input_len)
        got[r.client] += r.input_len
    assert max(got.values()) - min(got.values()) <= 2 * 50
