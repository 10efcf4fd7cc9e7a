"""What a step of the scheduler costs with up to 10,000 waiting, as counted work: calls, comparisons, look-ups.

Times would tell about the machine. Not counted: `list.insert` and `del` move the pointers behind the place (80 kB at 10,000 units
of ONE client), which is faster than what a tree would compare.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import log2
from types import FrameType

import pytest

from inference.scheduler.counters import Client, Group, Siblings
from inference.scheduler.protocol import OUTPUT_LEN, Request
from inference.scheduler.registry import POLICIES
from inference.scheduler.unit import Unit, UnitQueue
from tests.inference.scheduler.driving import admit, arrive, request, room


def calls(step: Callable[[], object]) -> int:
    """Python and C functions called: work that no load on the machine changes."""
    number = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(None)
    return number


def work(name: str, waiting: int, clients: int) -> float:
    """Calls of one request's life, with so many waiting: arrival, choice, admission, 10 tokens, end; mean of 20."""
    s = room(name, **({"per_minute": 10**6} if name == "rpm" else {}))
    for i in range(waiting):
        who = f"c{i % clients}", f"g{i % clients % 97}"
        arrive(s, request(*who, input_len=20 + i % 7, arrival=float(i), prefix=f"p{i % 5}", meta={OUTPUT_LEN: 10}))
    for _ in range(30):
        admit(s)

    def life() -> None:
        arrive(s, request("c1", "g1", input_len=20, arrival=1e6, meta={OUTPUT_LEN: 10}))
        (r,) = s.peek(lambda rs: True, lambda r: 0, 1.0)
        s.admitted(r, r.input_len)
        for _ in range(10):
            s.decoded(r, 1)
        s.finished(r)

    return sum(calls(life) for _ in range(20)) / 20


FAIR = sorted(set(POLICIES) - {"lpm", "dlpm"})  # the two look at all that wait, and say so


@pytest.mark.parametrize("name", FAIR)
@pytest.mark.parametrize("clients", [40, 1000])
def test_a_step_costs_the_same_with_ten_times_as_many_waiting(name: str, clients: int) -> None:
    few, many = work(name, 1000, clients), work(name, 10_000, clients)
    assert many <= 1.5 * few + 50, f"{few:.0f} calls with 1,000 waiting, {many:.0f} with 10,000"


@pytest.mark.parametrize("name", ["fcfs", "vtc", "vtc_credibility", "vtc_locality_credibility"])
def test_who_comes_next_is_told_without_a_look_at_all(name: str) -> None:
    """Asked in each step, to page their adapters in."""

    def told(waiting: int) -> int:
        s = room(name)
        for i in range(waiting):
            arrive(s, request(f"c{i % 1000}", f"g{i % 97}", input_len=20 + i % 7, arrival=float(i)))
        s.upcoming(8)
        return calls(lambda: s.upcoming(8))

    few, many = told(1000), told(10_000)
    assert 8 < many <= 1.5 * few + 50, f"{few} calls with 1,000 waiting, {many} with 10,000"


def test_look_ups_are_bounded_whatever_waits() -> None:
    s = room("vtc_locality", candidates=32, slack=1e9)
    arrive(s, *(request(f"c{i % 500}", f"g{i % 50}", input_len=9, arrival=float(i)) for i in range(5000)))
    for _ in range(5):
        looked: list[Request] = []
        unit = s.peek(lambda rs: True, lambda r: looked.append(r) or 0, 1.0)  # type: ignore[func-returns-value]
        assert 16 <= len(looked) <= 32
        s.admitted(unit[0], 9)


class Counted(float):
    """A number that counts how often numbers of its kind are compared."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        Counted.compared += 1
        return float(self) < float(other)

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return float(self) == other

    __hash__ = float.__hash__


def compared(step: Callable[[], object]) -> int:
    """Comparisons of keys or counters in `step`."""
    before = Counted.compared
    step()
    return Counted.compared - before


@pytest.mark.parametrize("waiting", [100, 1000, 10_000])
def test_a_place_in_one_clients_queue_is_found_by_halving(waiting: int) -> None:
    queue = UnitQueue()
    units = [Unit([request()], (Counted(i * 7919 % waiting), i)) for i in range(waiting)]
    for unit in units:
        queue.put(unit)
    most = 4 * (log2(waiting) + 2)
    last = Unit([request()], (Counted(waiting / 3), waiting))
    assert 1 < compared(lambda: queue.put(last)) <= most
    assert compared(lambda: queue.take(last)) <= most
    assert compared(lambda: queue.take(units[waiting // 2])) <= most
    assert compared(lambda: queue.next(newest_first=False)) == 0


@pytest.mark.parametrize("waiting", [100, 1000, 10_000])
def test_a_counter_moves_in_a_heap(waiting: int) -> None:
    """Arrival, a look at the least, a charge of a running client (nothing is compared), the mending after it."""
    siblings: Siblings[Client] = Siblings(lift=True)
    clients = [Client(f"c{i}", Group(("group", "g"), lift=True)) for i in range(waiting)]
    for i, client in enumerate(clients):
        client.counter = Counted(i * 7919 % waiting)
        siblings.enter(client, i)
    most = 8 * (log2(waiting) + 2)
    newcomer = Client("new", Group(("group", "g"), lift=True))
    newcomer.counter = Counted(waiting / 2)
    assert 1 < compared(lambda: siblings.enter(newcomer, waiting)) <= most
    siblings.least()
    assert compared(siblings.least) <= 2
    least = siblings.least()

    def charge() -> None:
        least.counter = Counted(least.counter + waiting / 2)

    assert compared(charge) == 0
    assert 1 < compared(siblings.least) <= most
    assert siblings.least() is not least
    assert compared(lambda: siblings.within(0.0, 8)) <= 8 * most
