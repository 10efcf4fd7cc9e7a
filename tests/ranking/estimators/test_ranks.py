"""Ranks from intervals and from replicates, against their definitions and by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import ranks

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
    assert ranks.of_replicates(thetas).tolist() == [[1, 2, 3], [1, 3, 2], [2, 1, 3], [1, 2, 3]]
    assert ranks.p_first(thetas).tolist() == [0.75, 0.25, 0.0]
    lower, upper = ranks.intervals(thetas, confidence=0.5)
    assert (lower.tolist(), upper.tolist()) == ([1, 1, 2], [2, 3, 3])


def test_who_lead_together_share_the_replicate() -> None:
    assert ranks.p_first(np.array([[1.0, 1, 0], [2, 1, 0]])).tolist() == [0.75, 0.25, 0.0]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.permutations(range(8)))
def test_replicates_follow_their_models_when_relabelled(seed: int, size: int, order: list[int]) -> None:
    thetas = np.random.default_rng(seed).normal(size=(50, size))
    moved = [i for i in order if i < size]
    assert np.array_equal(ranks.of_replicates(thetas)[:, moved], ranks.of_replicates(thetas[:, moved]))
    np.testing.assert_allclose(ranks.p_first(thetas)[moved], ranks.p_first(thetas[:, moved]))
    lower, upper = ranks.intervals(thetas)
    assert (lower <= upper).all() and lower.min() >= 1 and upper.max() <= size
    assert ranks.p_first(thetas).sum() == np.float64(1.0) or abs(ranks.p_first(thetas).sum() - 1) < 1e-12
