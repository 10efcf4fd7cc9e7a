"""The board as a function of the counts: ranks, win rates, labels, and the symmetries a board owes its models."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.board import board_format
from ranking.board.build import build
from ranking.board.inputs import Inputs
from ranking.estimators.tally import Cell, Tally

OUTCOMES = ["first", "second", "tie", "both_bad"]
cells = st.lists(
    st.builds(
        lambda pair, outcome, count: Cell(*sorted(pair), outcome, count),
        st.sampled_from(list(combinations("abcde", 2))),
        st.sampled_from(OUTCOMES),
        st.integers(1, 9),
    ),
    max_size=30,
)


def board(votes: list[Cell], **options: int) -> dict:
    return build(Inputs(tally=Tally.of_cells(votes), **({"seed": 1, "replicates": 60} | options)))


def row(shown: dict, model: str) -> dict:
    return next(row for row in shown["models"] if row["model"] == model)


def strong(theta: dict[str, float], per_pair: int = 400) -> list[Cell]:
    """Counts that follow a Bradley-Terry model exactly (rounded)."""
    made = []
    for first, second in combinations(sorted(theta), 2):
        wins = round(per_pair / (1 + np.exp(theta[second] - theta[first])))
        made += [Cell(first, second, "first", wins), Cell(first, second, "second", per_pair - wins)]
    return made


@settings(deadline=None, max_examples=25)
@given(cells, st.randoms(use_true_random=False))
def test_the_order_of_the_cells_does_not_matter(votes: list[Cell], random: object) -> None:
    shuffled = list(votes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert board(shuffled) == board(votes)


@settings(deadline=None, max_examples=25)
@given(cells)
def test_which_side_is_called_first_does_not_matter(votes: list[Cell]) -> None:
    mirror = {"first": "second", "second": "first", "tie": "tie", "both_bad": "both_bad"}
    mirrored = [Cell(cell.second, cell.first, mirror[cell.outcome], cell.count, False) for cell in votes]
    assert board(mirrored) == board(votes)


@settings(deadline=None, max_examples=25)
@given(cells)
def test_every_board_is_json_and_says_what_it_is(votes: list[Cell]) -> None:
    shown = board(votes)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert board_format.read(shown).as_json() == shown
    assert set(shown["why"]) == {name for name in board_format.FIGURES if shown[name] is None}
    rated = [one for one in shown["models"] if one["standing"] == "ranked"]
    assert shown["state"] == ("fitted" if rated else "too_few" if votes else "empty")
    assert sum(one["votes"] for one in shown["models"]) == 2 * sum(cell.count for cell in votes)
    assert all(one["wins"] + one["losses"] + one["ties"] == one["votes"] for one in shown["models"])
    assert all((one["rating"] is None) == (one["standing"] != "ranked") for one in shown["models"])
    if rated:
        assert np.mean([one["rating"] for one in rated]) == pytest.approx(1000, abs=1e-6)
    for one in rated:
        assert one["lower"] <= one["upper"] and 1 <= one["rank"] <= one["rank_worst"] <= len(rated)
        assert one["joint_lower"] <= one["rating"] <= one["joint_upper"] and one["se"] >= 0
        assert 1 <= one["rank_lower"] <= one["rank_upper"] <= len(rated)
        assert one["quantiles"] == sorted(one["quantiles"]) and len(one["quantiles"]) == 21
    assert sum(one["p_first"] for one in rated) == pytest.approx(1 if rated else 0)


@settings(deadline=None, max_examples=25)
@given(cells)
def test_pair_tables_follow_the_order_of_the_board_and_add_up(votes: list[Cell]) -> None:
    shown = board(votes)
    battles = np.array(shown["pairs"]["battles"]).reshape(2 * [len(shown["models"])])
    points = np.array(shown["pairs"]["points"]).reshape(2 * [len(shown["models"])])
    assert np.array_equal(battles, battles.T) and np.allclose(points + points.T, battles)
    assert battles.sum(axis=1).tolist() == [one["votes"] for one in shown["models"]]
    for one, taken in zip(shown["models"], points.sum(axis=1), strict=True):
        assert one["win_rate"] == pytest.approx(taken / one["votes"])


def test_both_bad_counts_as_a_tie() -> None:
    votes = [Cell("a", "b", "first", 5), Cell("a", "b", "second", 3)]
    tied, bad = (row(board([*votes, Cell("a", "b", outcome, 4)]), "a") for outcome in ("tie", "both_bad"))
    assert (tied.pop("both_bad"), bad.pop("both_bad")) == (0, 4)
    assert tied == bad


def test_a_known_order_is_recovered_with_ranks_and_ratings() -> None:
    theta = {"x": 0.9, "a": 0.3, "m": -0.3, "c": -0.9}
    shown = board(strong(theta), replicates=1000)
    assert [one["model"] for one in shown["models"]] == ["x", "a", "m", "c"]
    assert [one["rank"] for one in shown["models"]] == [1, 2, 3, 4]
    assert [one["rating"] for one in shown["models"]] == pytest.approx(
        [1000 + 400 / np.log(10) * value for value in theta.values()], abs=2
    )


def test_models_without_a_finite_rating_stand_below_with_a_label_and_change_nobody_else() -> None:
    base = strong({"a": 0.5, "b": -0.5})
    alone = board(base)
    shown = board([*base, Cell("a", "u", "second", 3), Cell("b", "w", "first", 2), Cell("y", "z", "tie", 4)])
    assert [(one["model"], one["standing"]) for one in shown["models"]] == [
        ("a", "ranked"),
        ("b", "ranked"),
        ("u", "unbeaten"),
        ("w", "winless"),
        ("y", "disconnected"),
        ("z", "disconnected"),
    ]
    for model in "ab":
        for figure in ("rating", "lower", "upper", "rank"):
            assert row(shown, model)[figure] == row(alone, model)[figure]


def test_resamples_that_needed_help_are_counted_on_the_board() -> None:
    assert board([Cell("a", "b", "first", 9), Cell("a", "b", "second", 1)])["method"]["helped_replicates"] > 0
    assert board(strong({"a": 0.5, "b": -0.5}))["method"]["helped_replicates"] == 0
