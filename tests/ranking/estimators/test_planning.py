"""Votes still needed: the variance is that of the sandwich, and simulated votes reach the power that was promised."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from ranking.estimators import planning
from ranking.estimators.bradley_terry import fit
from ranking.estimators.tally import Pairs
from ranking.pages.planner import Curve, needed

THETA = np.array([0.45, 0.3, 0.1, -0.25, -0.6])
K = len(THETA)
UPPER = np.triu_indices(K, 1)


def votes(rng: np.random.Generator, n: int, allocation: np.ndarray, theta: np.ndarray = THETA, ties: float = 0.2):
    """(K, K) wins and ties of n votes: a share of ties, else Bradley-Terry, so that theta is shrunk by (1 - ties) at most."""
    met = rng.multinomial(n, allocation[UPPER] / allocation[UPPER].sum())
    tied = rng.binomial(met, ties)
    won = rng.binomial(met - tied, expit(theta[:, None] - theta[None, :])[UPPER])
    wins, even = np.zeros((K, K)), np.zeros((K, K))
    wins[UPPER], wins.T[UPPER] = won, met - tied - won
    even[UPPER] = even.T[UPPER] = tied
    return wins, even


def brute(theta: np.ndarray, have: np.ndarray, added: np.ndarray, n: float, i: int, j: int) -> float:
    p = expit(theta[:, None] - theta[None, :])
    weights = (have + n * added) * p * (1 - p)
    full = np.diag(weights.sum(axis=1)) - weights
    c = np.eye(K)[i] - np.eye(K)[j]
    return float(c @ np.linalg.pinv(full) @ c)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, K - 2))
def test_the_curves_are_the_inverse_information_of_all_votes(seed: int, pair: int) -> None:
    rng = np.random.default_rng(seed)
    even = np.ones((K, K)) - np.eye(K)
    wins, ties = votes(rng, 900, even)
    drawn = rng.random((K, K)) + 0.1
    drawn = np.triu(drawn, 1) / np.triu(drawn, 1).sum()
    drawn = drawn + drawn.T
    found = planning.curves(THETA, wins, ties, drawn, np.array([pair]), np.array([pair + 1]))
    phi, have = planning.dispersion(THETA, wins, ties), wins + wins.T + ties
    alone = np.zeros((K, K))
    alone[pair, pair + 1] = alone[pair + 1, pair] = 1.0
    assert found.now[0] == pytest.approx(phi * brute(THETA, have, alone, 0, pair, pair + 1))
    for at in (0, 5, 20):
        n = planning.GRID[at]
        for curve, added in ((found.uniform, even * 2 / (K * (K - 1))), (found.drawn, drawn), (found.focused, alone)):
            assert curve is not None and curve[0, at] == pytest.approx(
                phi * brute(THETA, have, added, n, pair, pair + 1)
            )


def test_without_ties_the_dispersion_of_data_from_the_model_is_one_and_ties_lower_it() -> None:
    rng = np.random.default_rng(3)
    even = np.ones((K, K))
    for ties, low, high in ((0.0, 0.97, 1.03), (0.4, 0.55, 0.65)):
        wins, tied = votes(rng, 200_000, even, ties=ties)
        theta = fit(Pairs.of_points(wins + tied / 2)).theta
        assert low < planning.dispersion(theta, wins, tied) < high
    with pytest.raises(ValueError, match="no battles"):
        planning.dispersion(THETA, np.zeros((K, K)), np.zeros((K, K)))


@pytest.mark.parametrize(("power", "how"), [(0.5, "uniform"), (0.8, "uniform"), (0.8, "focused"), (0.9, "drawn")])
def test_simulated_votes_reach_the_promised_power(power: float, how: str) -> None:
    """2,000 futures: plan from the true strengths, add the planned votes, fit, test; within 4 standard errors of the promise."""
    rng = np.random.default_rng(11)
    even, i, j, alpha, ties = np.ones((K, K)) - np.eye(K), 1, 2, 0.05, 0.2
    drawn = np.where(np.abs(np.subtract.outer(range(K), range(K))) == 1, 0.2, 0.05) * (1 - np.eye(K))
    drawn = drawn / np.triu(drawn).sum()
    wins, tied = votes(rng, 600, even, ties=ties)
    strengths = shrunk(ties)
    found = planning.curves(strengths, wins, tied, drawn, np.array([i]), np.array([j]))
    curve = Curve.of(found.now[0], getattr(found, how)[0])
    n = needed(float(strengths[i] - strengths[j]), curve, confidence=1 - alpha, power=power)
    assert n is not None and n > 100
    focus = np.zeros((K, K))
    focus[i, j] = focus[j, i] = 1.0
    allocation = {"uniform": even, "focused": focus, "drawn": drawn}[how]
    hits = 0
    for _ in range(2000):
        old_wins, old_ties = votes(rng, 600, even, ties=ties)
        more_wins, more_ties = votes(rng, n, allocation, ties=ties)
        hits += told_apart(old_wins + more_wins, old_ties + more_ties, i, j, alpha)
    assert hits / 2000 == pytest.approx(power, abs=4 * (power * (1 - power) / 2000) ** 0.5 + 0.01)


def shrunk(ties: float) -> np.ndarray:
    """What half-win Bradley-Terry estimates from these votes: its fit to their expectation, evenly drawn."""
    p = expit(THETA[:, None] - THETA[None, :])
    np.fill_diagonal(p, 0.0)
    return fit(Pairs.of_points((1 - ties) * p + ties / 2 * (1 - np.eye(K)))).theta


def told_apart(wins: np.ndarray, ties: np.ndarray, i: int, j: int, alpha: float) -> bool:
    theta = fit(Pairs.of_points(wins + ties / 2)).theta
    have = wins + wins.T + ties
    error = (planning.dispersion(theta, wins, ties) * brute(theta, have, have, 0, i, j)) ** 0.5
    return bool((theta[i] - theta[j]) / error > NormalDist().inv_cdf(1 - alpha / 2))
