"""Claims: Holm against statsmodels, differences against simulation, and the family-wise error of false claims."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from ranking.estimators import claims, sandwich
from ranking.estimators.bradley_terry import fit
from ranking.estimators.sandwich import Covariance
from tests.ranking.estimators.simulated import even, half_win_tally


@settings(deadline=None, max_examples=15)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    assert claims.holm(np.array(p)) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_overlapping_intervals_do_not_hide_a_certain_difference() -> None:
    """Two models with correlation .9: intervals overlap by far, and the difference is five standard errors."""
    covariance = Covariance(np.array([[1.0, 0.9], [0.9, 1.0]]))
    theta = np.array([0.0, 5 * 0.2**0.5])
    made = claims.neighbours(theta, covariance)
    assert theta[1] - 1.96 < theta[0] + 1.96
    assert (made.better.tolist(), made.worse.tolist(), made.holds().tolist()) == ([1], [0], [True])
    assert made.gap / made.se == pytest.approx([5.0])


def test_neighbours_go_down_the_board_and_all_pairs_are_all() -> None:
    theta, covariance = np.array([0.5, -1.0, 2.0]), Covariance(np.eye(3))
    made = claims.neighbours(theta, covariance)
    assert (made.better.tolist(), made.worse.tolist()) == ([2, 0], [0, 1])
    every = claims.all_pairs(theta, covariance)
    assert list(zip(every.better.tolist(), every.worse.tolist(), strict=True)) == [(2, 0), (2, 1), (0, 1)]
    assert (every.gap > 0).all() and (every.adjusted >= every.p).all()


def test_a_difference_without_uncertainty_is_no_claim() -> None:
    made = claims.neighbours(np.array([1.0, 1.0]), Covariance(np.ones((2, 2))))
    assert (made.p.tolist(), made.holds().tolist()) == ([1.0], [False])


@pytest.mark.parametrize("theta", [np.zeros(6), np.array([0.0, 0.0, 0.6, 0.6, 1.2, 1.2])])
@pytest.mark.parametrize("family", [claims.neighbours, claims.all_pairs])
def test_false_claims_are_rarer_than_the_level(theta: np.ndarray, family: object) -> None:
    """400 boards with equal models: any false claim about them in at most 5 % + 3 standard errors."""
    rng, false = np.random.default_rng(4), 0
    for _ in range(400):
        tally = half_win_tally(rng, theta, even(6, 60))
        estimate = fit(tally.pairs()).theta
        made = family(estimate, sandwich.battle(tally, estimate))  # type: ignore[operator]
        false += bool((made.holds() & (theta[made.better] <= theta[made.worse])).any())
    assert false / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
