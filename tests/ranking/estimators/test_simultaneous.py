"""Critical values against closed forms, orderings between the three intervals, and the same from replicates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ranking.estimators import simultaneous
from ranking.estimators.sandwich import Covariance


def covariance(seed: int, size: int) -> Covariance:
    root = np.random.default_rng(seed).normal(size=(size, size + 2))
    root -= root.mean(axis=0)
    return Covariance(root @ root.T)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), st.integers(3, 12), st.floats(0.6, 0.99))
def test_pointwise_lies_in_max_t_and_max_t_in_chi_square(seed: int, size: int, confidence: float) -> None:
    spread, theta = covariance(seed, size), np.zeros(size)
    point = simultaneous.pointwise(theta, spread, confidence)
    joint = simultaneous.max_t(theta, spread, 1, confidence)
    square = simultaneous.chi_square(theta, spread, confidence)
    assert point.critical == pytest.approx(stats.norm.ppf(0.5 + confidence / 2))
    assert square.critical == pytest.approx(stats.chi2.ppf(confidence, size - 1) ** 0.5)
    assert point.critical < joint.critical * 1.05 and joint.critical < square.critical * 1.05
    assert (square.lower <= point.lower).all() and (point.upper <= square.upper).all()


def test_max_t_of_independent_models_is_sidak_and_of_one_model_is_normal() -> None:
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / 20)) / 2)
    assert simultaneous.critical_max_t(Covariance(np.eye(20) * 7), 1, draws=200_000) == pytest.approx(sidak, abs=0.02)
    twice = Covariance(np.array([[1.0, -1.0], [-1.0, 1.0]]))  # two models in the mean-zero gauge are one number
    assert simultaneous.critical_max_t(twice, 1, draws=200_000) == pytest.approx(1.96, abs=0.02)


def test_max_t_of_replicates_is_that_of_their_covariance() -> None:
    spread, theta = covariance(5, 8), np.linspace(-1, 1, 8)
    thetas = np.random.default_rng(2).multivariate_normal(theta, spread.matrix, size=20_000)
    drawn, made = simultaneous.max_t(theta, spread, 3), simultaneous.max_t_of_replicates(theta, thetas)
    assert made.critical == pytest.approx(drawn.critical, abs=0.04)
    assert np.allclose((made.upper - made.lower) / (drawn.upper - drawn.lower), 1, atol=0.04)


def test_models_without_uncertainty_do_not_break_it() -> None:
    made = simultaneous.max_t(np.zeros(3), Covariance(np.diag([0.0, 1.0, 0.0])), 1)
    assert made.critical == pytest.approx(1.96, abs=0.05) and made.lower[0] == made.upper[0] == 0
    assert simultaneous.max_t(np.zeros(1), Covariance(np.zeros((1, 1))), 1).critical == 0


def test_the_same_seed_gives_the_same_value_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = covariance(1, 5)
    whole = simultaneous.critical_max_t(spread, 4)
    monkeypatch.setattr(simultaneous, "DRAWS_BLOCK", 5 * 999)
    assert simultaneous.critical_max_t(spread, 4) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("by_judge", [False, True])
def test_the_same_seed_gives_the_same_value_whatever_the_order_of_models(by_judge: bool) -> None:
    """Or a board would rank models by their ids: a joint end decides a rank."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6))
    freedom = rng.uniform(3.0, 30.0, 6) if by_judge else None
    order = rng.permutation(6)
    turned = None if freedom is None else freedom[order]
    whole = simultaneous.critical_max_t(Covariance(root @ root.T, freedom=freedom), seed=4)
    other = simultaneous.critical_max_t(Covariance((root @ root.T)[np.ix_(order, order)], freedom=turned), seed=4)
    assert np.broadcast_to(other, 6) == pytest.approx(np.broadcast_to(whole, 6)[order], rel=1e-9)
