"""The longest cached prefix of some units, a pair counting both sides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inference.scheduler.matching import cached_tokens, longest_prefix
from inference.scheduler.order import View
from inference.scheduler.protocol import Request
from inference.scheduler.unit import Unit
from tests.inference.scheduler.driving import pair, request


def view(cached: dict[str, int]) -> View:
    return View(lambda rs: True, lambda r: cached[r.id], 0.0)


def test_a_pair_counts_what_both_sides_find() -> None:
    first, second = pair("a")
    one = request("b")
    cached = {first.id: 5, second.id: 7, one.id: 11}
    both, alone = Unit([first, second], (0.0, 0)), Unit([one], (0.0, 1))
    assert (cached_tokens(both, view(cached)), cached_tokens(alone, view(cached))) == (12, 11)
    assert longest_prefix([alone, both], view(cached)) is both


def test_of_nothing_there_is_none() -> None:
    assert longest_prefix([], view({})) is None


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_the_first_of_equals_with_one_look_up_each(found: list[int]) -> None:
    units = [Unit([request(id=f"u{i}")], (0.0, i)) for i in range(len(found))]
    looked: list[str] = []

    def cached_len(r: Request) -> int:
        looked.append(r.id)
        return found[int(r.id[1:])]

    best = longest_prefix(units, View(lambda rs: True, cached_len, 0.0))
    assert best is units[found.index(max(found))]
    assert looked == [unit.head.id for unit in units]
