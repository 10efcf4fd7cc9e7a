"""One client's queue: by order, by prefix, from either end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inference.scheduler.unit import Unit, UnitQueue, group_key
from tests.inference.scheduler.driving import request


def filled(*units: Unit) -> UnitQueue:
    queue = UnitQueue()
    for unit in units:
        queue.put(unit)
    return queue


def unit(number: int, **fields: object) -> Unit:
    r = request(arrival=float(number), **fields)
    return Unit([r], (r.arrival if r.order is None else r.order, number), number=number)


def test_a_client_without_network_is_its_own() -> None:
    assert group_key(request("a", "net")) == ("group", "net")
    assert group_key(request("a")) == ("client", "a") != group_key(request("b", "a"))


def test_of_units_that_share_a_prefix_the_oldest_is_the_choice() -> None:
    x1, y, x2, free = unit(1, prefix="x"), unit(2, prefix="y"), unit(3, prefix="x"), unit(4)
    queue = filled(x2, free, y, x1)
    assert queue.choices(9) == [(x1, 2), (y, 1), (free, 1)]
    assert queue.choices(2) == [(x1, 2), (y, 1)]
    queue.take(x1)
    assert queue.choices(9) == [(y, 1), (x2, 1), (free, 1)]


def test_an_explicit_order_leaves_no_choice_but_among_its_equals() -> None:
    first, same, later = unit(1, order=1.0), unit(2, order=1.0), unit(3, order=2.0)
    queue = filled(later, same, first)
    assert queue.choices(9) == [(first, 1), (same, 1)]
    assert queue.next(newest_first=True) is first, "newest first never reverses it"
    assert queue.in_line(newest_first=True) == [first, same, later]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, "x", "y"]), st.booleans()), max_size=40))
def test_a_queue_is_a_sorted_list(changes: list) -> None:
    queue, plain = UnitQueue(), []
    for number, (at, prefix, comes) in enumerate(changes):
        if comes or not plain:
            new = Unit([request(prefix=prefix)], (float(at), number), number=number)
            queue.put(new)
            plain.append(new)
        else:
            queue.take(plain.pop(at % len(plain)))
        plain.sort(key=lambda u: u.key)
        assert list(queue) == plain and len(queue) == len(plain)
        if plain:
            assert queue.next(False) is plain[0] and queue.next(True) is plain[-1]
            assert {id(u) for u, _ in queue.choices(99)} <= {id(u) for u in plain}
            assert queue.choices(1)[0][0] is plain[0]
