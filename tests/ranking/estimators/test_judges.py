"""Folding battles by judge: nothing lost, unknown judges stand alone, both orientations the same, bad input refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators.judges import JudgeCell, JudgeTally
from ranking.estimators.tally import Outcome, Tally

MODELS = ("a", "b", "c", "d")
NAMES = ("first", "second", "tie", "both_bad")
battle = st.tuples(
    st.permutations(range(4)).map(lambda order: order[:2]), st.sampled_from(list(Outcome)), st.integers(-1, 4)
)
battles = st.lists(battle, max_size=40)


def columns(rows: list) -> list[list[int]]:
    """a, b, outcome, judge."""
    table = [(*pair, int(outcome), judge) for pair, outcome, judge in rows]
    return [list(column) for column in zip(*table, strict=True)] if table else [[], [], [], []]


@settings(deadline=None)
@given(battles)
def test_battles_and_their_cells_fold_to_the_same_rows(rows: list) -> None:
    cells = [
        JudgeCell(f"j{judge}" if judge >= 0 else "", MODELS[a], MODELS[b], NAMES[outcome], 1)
        for (a, b), outcome, judge in rows
    ]
    folded, same = JudgeTally.of_battles(MODELS, *columns(rows)), JudgeTally.of_cells(cells, MODELS)
    for name in ("first", "second", "outcome", "judge", "count"):
        np.testing.assert_array_equal(getattr(folded, name), getattr(same, name))
    unknown = sum(judge < 0 for *_rest, judge in rows)
    assert folded.judges == unknown + len({judge for *_rest, judge in rows if judge >= 0})
    assert folded.total == len(rows)
    assert (folded.first < folded.second).all()


@settings(deadline=None)
@given(battles)
def test_without_its_judges_it_is_the_tally_of_the_same_battles(rows: list) -> None:
    a, b, outcome, _judge = columns(rows)
    expected = Tally.of_battles(MODELS, a, b, outcome).pairs()
    got = JudgeTally.of_battles(MODELS, *columns(rows)).tally().pairs()
    for name in ("first", "second", "won", "lost", "tied", "both_bad"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


@settings(deadline=None)
@given(battles)
def test_turning_every_battle_round_changes_nothing(rows: list) -> None:
    a, b, outcome, judge = columns(rows)
    mirrored = [1 - one if one < Outcome.TIE else one for one in outcome]
    folded, turned = (
        JudgeTally.of_battles(MODELS, a, b, outcome, judge),
        JudgeTally.of_battles(MODELS, b, a, mirrored, judge),
    )
    for name in ("first", "second", "outcome", "judge", "count"):
        np.testing.assert_array_equal(getattr(folded, name), getattr(turned, name))


def test_a_count_of_unknown_battles_is_as_many_judges_and_a_judge_is_one() -> None:
    folded = JudgeTally.of_cells([JudgeCell("", "a", "b", "first", 3), JudgeCell("x", "b", "a", "tie", 5)])
    assert (folded.judges, folded.total) == (4, 8)
    assert sorted(folded.count.tolist()) == [1, 1, 1, 5]


def test_columns_may_carry_counts_and_rows_without_battles_vanish() -> None:
    columns = [0, 0, 1], [1, 1, 2], [0, 0, 2], [7, -1, 7], [4, 2, 0]
    folded = JudgeTally.of_battles(MODELS, *columns)
    repeated = JudgeTally.of_battles(MODELS, *(np.repeat(column, columns[4]) for column in columns[:4]))
    for name in ("first", "second", "outcome", "judge", "count"):
        np.testing.assert_array_equal(getattr(folded, name), getattr(repeated, name))
    assert (folded.total, folded.judges) == (6, 3)


def test_selecting_models_keeps_their_battles_and_renumbers_judges() -> None:
    cells = [
        JudgeCell("x", "a", "b", "first", 2),
        JudgeCell("y", "a", "c", "tie", 3),
        JudgeCell("z", "b", "c", "tie", 1),
    ]
    chosen = JudgeTally.of_cells(cells).select([0, 2])
    assert (chosen.models, chosen.total, chosen.judges, chosen.judge.tolist()) == (("a", "c"), 3, 1, [0])


@pytest.mark.parametrize(
    "cell",
    [
        JudgeCell("j", "a", "b", "won", 1),
        JudgeCell("j", "a", "a", "tie", 1),
        JudgeCell("j", "a", "b", "tie", -1),
        JudgeCell("j", "a", "z", "tie", 1),
    ],
)
def test_bad_cells_are_refused(cell: JudgeCell) -> None:
    with pytest.raises(ValueError, match="unknown outcome|itself|negative|unknown model"):
        JudgeTally.of_cells([cell], ("a", "b"))


@pytest.mark.parametrize(
    "columns",
    [
        ([0], [1], [0], [0], [-1]),
        ([0], [0], [0], [0]),
        ([0], [9], [0], [0]),
        ([0], [1], [7], [0]),
        ([0], [1], [0], [-2]),
        ([0], [1], [0], []),
    ],
)
def test_bad_codes_are_refused(columns: tuple) -> None:
    with pytest.raises(ValueError, match="itself|outside|none of|lengths|negative"):
        JudgeTally.of_battles(("x", "y"), *columns)


def test_nothing_is_an_empty_tally() -> None:
    empty = JudgeTally.of_cells([])
    assert (empty.size, empty.total, empty.judges, len(empty.tally().pairs().first)) == (0, 0.0, 0, 0)
