"""Halves of pairs that are held, torn and found again; units that have had their turn and stand in front."""

from __future__ import annotations

from inference.scheduler.front import Front
from inference.scheduler.halves import Halves
from inference.scheduler.protocol import PAIR_HOLD_S, Request, ServiceClass
from inference.scheduler.unit import Unit
from tests.inference.scheduler.driving import pair, request


def unit_of(*requests: Request, number: int = 0) -> Unit:
    return Unit(list(requests), (0.0, number), size=max(1, requests[0].pair_size), number=number)


def test_a_half_is_held_for_its_time_and_no_longer() -> None:
    halves, (first, second) = Halves(PAIR_HOLD_S), pair("a")
    held = unit_of(first)
    assert halves.hold(held, 10.0)
    assert (held.held_until, halves.next_deadline()) == (10.05, 10.05)
    assert halves.partner(second) is held
    assert halves.expired(10.04) == []
    assert halves.expired(10.05) == [held]
    assert (held.held_until, halves.next_deadline()) == (None, None)
    assert halves.partner(second) is held, "it still waits: the other half may join it"


def test_nothing_is_held_for_a_request_without_a_partner() -> None:
    halves = Halves(1.0)
    assert not halves.hold(unit_of(request("a")), 0.0)
    assert not halves.hold(unit_of(request("a", pair="t", pair_size=1)), 0.0)
    assert halves.partner(request("a")) is None and not halves.torn(request("a"))


def test_a_pair_belongs_to_one_client_network_and_class() -> None:
    halves, (first, second) = Halves(1.0), pair("a", "net", turn="t")
    halves.hold(unit_of(first), 0.0)
    assert halves.partner(second) is not None
    for stranger in (
        request("b", "net", pair="t", pair_size=2),
        request("a", "home", pair="t", pair_size=2),
        request("a", "net", pair="t", pair_size=2, klass=ServiceClass.EXAM),
        request("a", "net", pair="other", pair_size=2),
    ):
        assert halves.partner(stranger) is None


def test_the_late_half_of_a_torn_pair_is_known_until_the_first_ends() -> None:
    halves, (first, second) = Halves(1.0), pair("a")
    held = unit_of(first)
    halves.hold(held, 0.0)
    halves.admitted(held, first)
    assert halves.partner(second) is None and halves.torn(second)
    assert not halves.hold(unit_of(second), 0.0), "there is nothing to wait for"
    halves.ended(first)
    assert not halves.torn(second)


def test_a_whole_pair_that_starts_leaves_nothing_behind() -> None:
    halves, (first, second) = Halves(1.0), pair("a")
    both = unit_of(first)
    halves.hold(both, 0.0)
    both.requests.append(second)
    halves.admitted(both, first)
    assert not halves.torn(second) and halves.partner(second) is None
    assert not halves._waiting and not halves._alone


def test_a_half_that_leaves_while_it_waits_is_forgotten() -> None:
    halves, (first, second) = Halves(1.0), pair("a")
    held = unit_of(first)
    halves.hold(held, 0.0)
    halves.gone(first)
    held.held_until = None
    assert halves.partner(second) is None and halves.next_deadline() is None


def test_those_in_front_go_by_the_number_of_their_turn() -> None:
    front = Front()
    late, early, middle = (front.put(request(), number, 0.0) for number in (9, 2, 5))
    assert len(front) == 3 and all(unit.in_front for unit in (late, early, middle))
    assert front.first() is early
    assert front.line() == [early, middle, late]
    front.leave(middle)
    front.leave(early)
    assert front.first() is late and front.line() == [late] and len(front) == 1
    front.leave(late)
    assert front.first() is None and front.line() == [] and len(front) == 0


def test_equal_numbers_keep_their_order() -> None:
    """Both halves of a pair have one turn."""
    front = Front()
    units = [front.put(request(), 3, 0.0) for _ in range(4)]
    assert front.line() == units
