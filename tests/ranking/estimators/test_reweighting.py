"""Reweighted estimates: the identity with equal weights, an independent implementation, and the spread of the difference."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import outcomes, reweighting
from ranking.estimators.half_win import DROP, HALF_WIN
from ranking.estimators.tally import Outcome, Tally
from tests.ranking.estimators import law_battles

THETA = np.array([0.8, 0.3, -0.2, -0.9])


def drawn(rng: np.random.Generator, count: int, twist: float = 0.0) -> Tally:
    """Battles whose pairs are drawn unevenly with known P; `twist` moves one pair off Bradley-Terry."""
    pairs = np.array([(i, j) for i in range(4) for j in range(4) if i != j])
    share = np.repeat([0.25, 0.02, 0.06], 4)
    share /= share.sum()
    which = rng.choice(12, count, p=share)
    a, b = pairs[which].T
    logit = THETA[a] - THETA[b] + twist * ((a == 0) & (b == 1)) - twist * ((a == 1) & (b == 0))
    won = rng.random(count) < 1 / (1 + np.exp(-logit))
    return Tally.of_battles("abcd", a, b, np.where(won, Outcome.FIRST, Outcome.SECOND), share[which])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_equal_probabilities_change_nothing(seed: int, k: int) -> None:
    tally = law_battles.ring(seed, k)
    equal = Tally(
        tally.models,
        tally.first,
        tally.second,
        tally.first_was_a,
        tally.outcome,
        tally.count,
        8 * tally.count,
        64 * tally.count,
    )
    found = reweighting.estimate(equal)
    assert np.abs(found.difference).max() < 1e-9 and found.p_value == 1.0 and found.freedom == 0
    assert np.allclose(found.covariance, found.plain_covariance, atol=1e-10)
    assert found.effective == pytest.approx(found.battles) and np.abs(found.difference_se).max() < 1e-6


def test_estimate_and_sandwich_are_those_of_weighted_rows() -> None:
    rng = np.random.default_rng(1)
    pairs = np.array([(0, 1), (1, 2), (2, 3), (0, 3), (1, 0), (2, 0)])
    which = rng.integers(0, 6, 400)
    a, b = pairs[which].T
    outcome, p = rng.integers(0, 3, 400), rng.uniform(0.05, 0.5, 400)
    found = reweighting.estimate(Tally.of_battles("abcd", a, b, outcome, p))
    design = (np.eye(4)[a] - np.eye(4)[b])[:, 1:]
    points = np.array([1.0, 0.0, 0.5])[outcome]
    glm = sm.GLM(points, design, family=sm.families.Binomial(), var_weights=1 / p).fit(tol=1e-14, maxiter=100)
    assert np.allclose(found.theta[1:] - found.theta[0], glm.params, atol=1e-8)
    chance = glm.predict()
    bread = np.linalg.inv(design.T @ (design * (chance * (1 - chance) / p)[:, None]))
    scores = design * ((points - chance) / p)[:, None]
    change = np.eye(4)[1:] - np.eye(4)[0]
    assert np.allclose(change @ found.covariance @ change.T, bread @ scores.T @ scores @ bread, rtol=1e-6)
    plain = sm.GLM(points, design, family=sm.families.Binomial()).fit(tol=1e-14, maxiter=100)
    other = np.linalg.inv(design.T @ (design * (plain.predict() * (1 - plain.predict()))[:, None]))
    influence = scores @ bread - design * (points - plain.predict())[:, None] @ other
    spread = influence.T @ influence
    centre = (np.eye(4) - 1 / 4)[:, 1:]
    assert np.allclose(found.difference_se, np.sqrt(np.diag(centre @ spread @ centre.T)), rtol=1e-6)
    statistic = (glm.params - plain.params) @ np.linalg.solve(spread, glm.params - plain.params)
    assert found.freedom == 3 and found.statistic == pytest.approx(statistic, rel=1e-6)
    assert found.effective == pytest.approx((1 / p).sum() ** 2 / (1 / p**2).sum())


def test_the_two_ways_to_a_weighted_fit_agree() -> None:
    tally = drawn(np.random.default_rng(2), 3_000)
    found = reweighting.estimate(tally)
    for law in (HALF_WIN, DROP):
        fitted = outcomes.fit(law, tally, reweighted=True)
        assert np.allclose(fitted.theta, found.theta, atol=1e-9)
        assert np.allclose(fitted.sandwich, found.covariance, rtol=1e-7, atol=1e-12)


def test_intervals_cover_and_the_test_of_the_difference_is_level_and_has_power() -> None:
    rng, inside, rejected, twisted = np.random.default_rng(3), [], [], []
    for _board in range(300):
        found = reweighting.estimate(drawn(rng, 1_500))
        inside.append(np.abs(found.theta - THETA) < 1.96 * np.sqrt(np.diag(found.covariance)))
        rejected.append(found.p_value < 0.05)
        twisted.append(reweighting.estimate(drawn(rng, 1_500, twist=1.5)).p_value < 0.05)
    assert np.all(np.abs(np.mean(inside, axis=0) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 300) + 0.005)
    assert np.mean(rejected) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300) + 0.01 and np.mean(twisted) > 0.8


def test_effective_battles_by_model_count_its_own() -> None:
    tally = Tally.of_battles("abcd", [0, 0, 1, 1], [1, 1, 2, 2], [0, 1, 0, 1], [0.5, 0.5, 0.5, 0.1])
    by_model = reweighting.estimate(tally.select([0, 1, 2])).effective_by_model
    assert by_model[0] == pytest.approx(2) and by_model[2] == pytest.approx(12**2 / 104)
    assert by_model[1] == pytest.approx(16**2 / 112)
