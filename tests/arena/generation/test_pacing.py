"""Equal pacing: nothing lost, nothing out of order, equal while both have text, held for a bounded time, always drained (S6)."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from arena.generation.pacing import Pacer, Supply

STALL_S, DRAIN_S, TICK_S = 3.0, 0.5, 0.05
MOST = 10_000


@dataclass
class Side:
    """Text that arrives by a plan (characters at each tick, then the end), released as the pacer says."""

    plan: list[int]
    received: int = 0
    released: int = 0
    ended: bool = False
    stopped: bool = False
    sizes: list[int] = field(default_factory=list)

    def arrive(self, tick: int) -> None:
        if tick < len(self.plan) and not self.ended:
            self.received += self.plan[tick]
        self.ended = self.ended or tick >= len(self.plan)

    @property
    def supply(self) -> Supply:
        return Supply(self.received - self.released, self.ended, self.stopped)


def play(a: Side, b: Side, ticks: int, tick_s: float = TICK_S) -> None:
    pacer, sides = Pacer[str](STALL_S, DRAIN_S), {"a": a, "b": b}
    for tick in range(ticks):
        for side in sides.values():
            side.arrive(tick)
        sizes = pacer.release({key: side.supply for key, side in sides.items()}, 100.0 + tick * tick_s)
        for key, side in sides.items():
            assert 0 <= sizes[key] <= side.supply.waiting
            side.released += sizes[key]
            side.sizes.append(sizes[key])


plans = st.lists(st.integers(0, 40), max_size=120)


@given(plans, plans)
def test_everything_is_released_once_and_soon_after_both_ends(a: list[int], b: list[int]) -> None:
    left, right = Side(a), Side(b)
    play(left, right, max(len(a), len(b)) + int(DRAIN_S / TICK_S) + 3)
    assert (left.released, right.released) == (sum(a), sum(b))


@given(plans, plans)
def test_both_sides_release_equally_until_one_is_told_or_stalls(a: list[int], b: list[int]) -> None:
    left, right = Side(a), Side(b)
    play(left, right, 300)
    silent = {"a": 0, "b": 0}
    told = {"a": 0, "b": 0}
    for tick, (x, y) in enumerate(zip(left.sizes, right.sizes, strict=True)):
        for key, side, size in (("a", left, x), ("b", right, y)):
            arrived = side.plan[tick] if tick < len(side.plan) else 0
            silent[key] = 0 if arrived else silent[key] + 1
            told[key] += size
        begun = sum(left.plan[: tick + 1]) > 0 and sum(right.plan[: tick + 1]) > 0
        over = told["a"] == sum(a) and tick >= len(a) or told["b"] == sum(b) and tick >= len(b)
        if begun and not over and max(silent.values()) * TICK_S < STALL_S:
            assert x == y


@given(plans, st.integers(0, 60))
def test_a_side_is_held_no_longer_than_a_silence(a: list[int], words: int) -> None:
    """The other side says a little and then nothing for ever; it never ends."""
    endless = Side([1] * words + [0] * 2000)
    fast = Side(a)
    until = max(len(a), words) + int((STALL_S + DRAIN_S) / TICK_S) + 3
    play(fast, endless, until)
    assert fast.released == sum(a)


def test_the_rest_of_the_faster_side_flows_out_evenly_in_half_a_second() -> None:
    fast, slow = Side([1000]), Side([10] * 20)
    play(fast, slow, 60)
    assert fast.sizes[:20] == slow.sizes[:20] == [10] * 20
    rest = [size for size in fast.sizes[20:] if size]
    assert sum(rest) == 800
    assert 8 <= len(rest) <= 11
    assert max(rest) <= 101


def test_a_side_that_its_reader_stopped_is_shown_to_its_end_and_holds_nobody() -> None:
    stopped, slow = Side([1000], stopped=True), Side([1] * 200)
    play(stopped, slow, 12)
    assert stopped.released == 1000
    assert slow.released == 12


def test_a_side_that_has_not_begun_holds_nobody() -> None:
    early, late = Side([5] * 40), Side([0] * 20 + [5] * 20)
    play(early, late, 20)
    assert early.sizes == [5] * 20
    play(early := Side([5] * 40), late := Side([0] * 20 + [2] * 20), 40)
    assert early.sizes[20:40] == late.sizes[20:40] == [2] * 20


def test_one_side_alone_is_not_slowed() -> None:
    pacer = Pacer[str](STALL_S, DRAIN_S)
    assert [pacer.release({"a": Supply(n, False)}, 5.0 + n)["a"] for n in (7, 3, 500)] == [7, 3, 500]
