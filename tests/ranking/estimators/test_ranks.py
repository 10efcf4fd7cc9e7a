"""Ranks from intervals and from replicates, against their definitions and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import bootstrap, ranks
from ranking.estimators.tally import Outcome, Tally

ends = st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 6)), min_size=1, max_size=12)


@settings(deadline=None)
@given(ends)
def test_bounds_are_the_definition_of_equation_1(rows: list) -> None:
    lower = np.array([float(low) for low, _ in rows])
    upper = lower + [width for _, width in rows]
    best, worst = ranks.bounds(lower, upper)
    assert best.tolist() == [1 + sum(low > mine for low in lower) for mine in upper]
    assert worst.tolist() == [len(rows) - sum(high < mine for high in upper) for mine in lower]
    assert (best <= worst).all()


def test_touching_intervals_share_a_rank() -> None:
    best, worst = ranks.bounds(np.array([1.0, 0.0, -3.0]), np.array([2.0, 1.0, -2.0]))
    assert (best.tolist(), worst.tolist()) == ([1, 1, 3], [2, 2, 3])


def test_ranks_of_replicates_by_hand() -> None:
    thetas = np.array([[3.0, 2, 1], [3, 1, 2], [2, 3, 1], [3, 2, 1]])
    for made in ranks.of_replicates(thetas):
        assert made.tolist() == [[1, 2, 3], [1, 3, 2], [2, 1, 3], [1, 2, 3]]
    assert ranks.p_first(thetas).tolist() == [0.75, 0.25, 0.0]
    lower, upper = ranks.intervals(thetas, confidence=0.5)
    assert (lower.tolist(), upper.tolist()) == ([1, 1, 2], [2, 3, 3])


def test_who_lead_together_share_the_replicate() -> None:
    assert ranks.p_first(np.array([[1.0, 1, 0], [2, 1, 0]])).tolist() == [0.75, 0.25, 0.0]


def test_equal_models_share_their_ranks_whatever_they_are_called() -> None:
    """Nothing but ties: no order of names makes one of the models the first."""
    tally = Tally.of_battles("abc", [0, 1, 2] * 5, [1, 2, 0] * 5, [Outcome.TIE] * 15)
    thetas = bootstrap.multinomial(tally.pairs(), np.zeros(3), seed=1, replicates=100).thetas
    lower, upper = ranks.intervals(thetas)
    assert (lower.tolist(), upper.tolist()) == ([1, 1, 1], [3, 3, 3])
    assert ranks.p_first(thetas).tolist() == pytest.approx([1 / 3] * 3)


def test_what_is_equal_but_for_rounding_is_equal() -> None:
    best, worst = ranks.of_replicates(np.array([[0.5, 0.5 + 1e-10, -1.0, 0.5 - 1e-10]]))
    assert (best.tolist(), worst.tolist()) == ([[1, 1, 4, 1]], [[3, 3, 4, 3]])
    assert ranks.p_first(np.array([[0.5, 0.5 + 1e-10, -1.0]])).tolist() == [0.5, 0.5, 0.0]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.permutations(range(8)), st.integers(0, 9))
def test_replicates_follow_their_models_when_relabelled(seed: int, size: int, order: list[int], digits: int) -> None:
    thetas = np.random.default_rng(seed).normal(size=(50, size)).round(digits)  # few digits: many are equal
    moved = [i for i in order if i < size]
    for before, after in zip(ranks.of_replicates(thetas), ranks.of_replicates(thetas[:, moved]), strict=True):
        assert np.array_equal(before[:, moved], after)
    best, worst = ranks.of_replicates(thetas)
    if digits < 7:
        assert np.array_equal(best, 1 + (thetas[:, None, :] > thetas[:, :, None]).sum(axis=2))
        assert np.array_equal(worst, (thetas[:, None, :] >= thetas[:, :, None]).sum(axis=2))
    np.testing.assert_allclose(ranks.p_first(thetas)[moved], ranks.p_first(thetas[:, moved]))
    lower, upper = ranks.intervals(thetas)
    after = ranks.intervals(thetas[:, moved])
    assert np.array_equal(lower[moved], after[0]) and np.array_equal(upper[moved], after[1])
    assert (lower <= upper).all() and lower.min() >= 1 and upper.max() <= size
    assert ranks.p_first(thetas).sum() == pytest.approx(1, abs=1e-12)
