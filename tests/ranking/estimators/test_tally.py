"""Folding battles into cells: nothing lost, both orientations the same, bad input refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import tally
from ranking.estimators.tally import Cell, Outcome, Tally

MODELS = ("a", "b", "c", "d")
battle = st.tuples(
    st.permutations(range(4)).map(lambda order: order[:2]), st.sampled_from(list(Outcome)), st.floats(0.01, 1)
)
battles = st.lists(battle, max_size=40)


def columns(rows: list) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """a, b, outcome, probability."""
    parts = [(*pair, outcome, probability) for pair, outcome, probability in rows]
    table = np.array(parts, float).reshape(-1, 4)
    return table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2].astype(int), table[:, 3]


@settings(deadline=None)
@given(battles)
def test_battles_and_their_cells_fold_to_the_same_tally(rows: list) -> None:
    names = ("first", "second", "tie", "both_bad")
    cells = [
        Cell(MODELS[pair[0]], MODELS[pair[1]], names[outcome], 1, True, 1 / p, 1 / p**2) for pair, outcome, p in rows
    ]
    folded, same = Tally.of_battles(MODELS, *columns(rows)), Tally.of_cells(cells, MODELS)
    for name in ("first", "second", "first_was_a", "outcome"):
        np.testing.assert_array_equal(getattr(folded, name), getattr(same, name))
    for name in ("count", "inverse_p", "inverse_p2"):
        np.testing.assert_allclose(getattr(folded, name), getattr(same, name))
    assert folded.total == len(rows)
    assert (folded.first < folded.second).all()


@settings(deadline=None)
@given(battles)
def test_pairs_hold_every_battle_once_by_hand_count(rows: list) -> None:
    pairs = Tally.of_battles(MODELS, *columns(rows)).pairs()
    expected: dict[tuple[int, int], list[float]] = {}
    for (a, b), outcome, _p in rows:
        cell = expected.setdefault((min(a, b), max(a, b)), [0.0] * 4)
        cell[1 - outcome if outcome < 2 and a > b else outcome] += 1
    got = zip(pairs.first, pairs.second, pairs.won, pairs.lost, pairs.tied, pairs.both_bad, strict=True)
    assert {(i, j): list(rest) for i, j, *rest in got} == expected
    assert pairs.battles.sum() == len(rows)


@settings(deadline=None)
@given(battles, st.booleans())
def test_many_models_fold_by_sorting_to_the_same_cells(rows: list, weighted: bool) -> None:
    a, b, outcome, probability = columns(rows)
    arguments = MODELS, a, b, outcome, probability if weighted else None
    dense = Tally.of_battles(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "DENSE_BINS", 0)
        sparse = Tally.of_battles(*arguments)
    for name in ("first", "second", "first_was_a", "outcome", "count", "inverse_p", "inverse_p2"):
        np.testing.assert_array_equal(getattr(dense, name), getattr(sparse, name))


def test_who_was_shown_first_is_kept_when_the_pair_is_turned() -> None:
    turned = Tally.of_cells([Cell("b", "a", "first", 3, first_was_a=True)])
    assert (turned.models, turned.first_was_a.tolist(), turned.outcome.tolist()) == (
        ("a", "b"),
        [False],
        [Outcome.SECOND],
    )


def test_selecting_models_keeps_their_battles_only() -> None:
    cells = [Cell("a", "b", "first", 2), Cell("b", "c", "tie", 3), Cell("a", "c", "second", 5)]
    chosen = Tally.of_cells(cells).select([0, 2])
    assert (chosen.models, chosen.total) == (("a", "c"), 5)
    assert (chosen.first.tolist(), chosen.second.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    "cell", [Cell("a", "b", "won", 1), Cell("a", "a", "tie", 1), Cell("a", "b", "tie", -1), Cell("a", "z", "tie", 1)]
)
def test_bad_cells_are_refused(cell: Cell) -> None:
    with pytest.raises(ValueError, match="unknown outcome|itself|negative|unknown model"):
        Tally.of_cells([cell], ("a", "b"))


@pytest.mark.parametrize(("a", "b", "outcome"), [([0], [0], [0]), ([0], [9], [0]), ([0], [1], [7]), ([-1], [1], [0])])
def test_bad_codes_are_refused(a: list, b: list, outcome: list) -> None:
    with pytest.raises(ValueError, match="itself|outside|none of"):
        Tally.of_battles(("x", "y"), a, b, outcome)


def test_nothing_is_an_empty_tally() -> None:
    empty = Tally.of_cells([])
    assert (empty.size, empty.total, len(empty.pairs().first)) == (0, 0.0, 0)
