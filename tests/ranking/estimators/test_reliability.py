"""Slopes of judges: a general optimiser, coins and inverted voters, coverage, and sturdier ratings than plain ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import kendalltau

from ranking.estimators import bradley_terry, reliability
from ranking.estimators.bradley_terry import NoFiniteEstimate
from ranking.estimators.judges import JudgeTally
from ranking.estimators.sandwich import VALUES

THETA = np.linspace(-1.2, 1.2, 8)


def votes(rng: np.random.Generator, slopes: np.ndarray, each: int, theta: np.ndarray = THETA) -> JudgeTally:
    """`each` battles per judge between random models; a tenth are ties."""
    k, judge = len(theta), np.repeat(np.arange(len(slopes)), each)
    a = rng.integers(0, k, len(judge))
    b = (a + rng.integers(1, k, len(judge))) % k
    won = rng.random(len(judge)) < 1 / (1 + np.exp(-slopes[judge] * (theta[a] - theta[b])))
    outcome = np.where(rng.random(len(judge)) < 0.1, 2, np.where(won, 0, 1))
    return JudgeTally.of_battles([f"m{i}" for i in range(k)], a, b, outcome, judge)


def loss(tally: JudgeTally, at: np.ndarray) -> float:
    """Of all theta but the last and all slopes but the last, which keeps the mean over battles at 1."""
    votes = np.bincount(tally.judge, tally.count)
    theta, slope = np.append(at[: tally.size - 1], 0.0), at[tally.size - 1 :]
    slope = np.append(slope, (votes.sum() - votes[:-1] @ slope) / votes[-1])
    gap = slope[tally.judge] * (theta[tally.first] - theta[tally.second])
    points = VALUES[tally.outcome]
    likelihood = -(tally.count @ (points * np.logaddexp(0, -gap) + (1 - points) * np.logaddexp(0, gap)))
    return float(-likelihood + ((slope - 1) ** 2).sum() / (2 * reliability.SPREAD**2))


def test_estimate_and_errors_are_those_of_a_general_optimiser() -> None:
    tally = votes(np.random.default_rng(1), np.array([1.5, 1.0, 0.4, -0.5]), 60, THETA[::2])
    found = reliability.fit(tally)
    start = np.append(found.theta[:-1] - found.theta[-1], np.ones(3))
    best = minimize(lambda at: loss(tally, at), start, method="BFGS", options={"gtol": 1e-7}).x
    theta = np.append(best[:3], 0.0)
    assert np.allclose(found.theta, theta - theta.mean(), atol=1e-5) and np.allclose(
        found.slope[:3], best[3:], atol=1e-5
    )
    assert found.slope @ found.battles == pytest.approx(tally.total)
    steps = np.eye(6) * 1e-3

    def second(u: np.ndarray, v: np.ndarray) -> float:
        corners = [loss(tally, best + i * u + j * v) * i * j for i in (1, -1) for j in (1, -1)]
        return sum(corners) / 4e-6

    covariance = np.linalg.inv(np.array([[second(u, v) for v in steps] for u in steps]))
    assert np.allclose(found.slope_se[:3], np.sqrt(np.diag(covariance)[3:]), rtol=1e-3)
    centre = (np.eye(4) - 1 / 4)[:, :3]
    assert np.allclose(found.theta_se, np.sqrt(np.diag(centre @ covariance[:3, :3] @ centre.T)), rtol=1e-3)


def test_coins_and_inverted_voters_are_told_from_honest_ones() -> None:
    found = reliability.fit(votes(np.random.default_rng(2), np.repeat([1.0, 0.0, -1.0], [40, 10, 10]), 150))
    honest, coins, inverted = np.split(found.slope / found.slope[:40].mean(), [40, 50])
    assert honest.min() > 0.6 > 0.5 > np.abs(coins).max() and inverted.max() < min(-0.2, coins.min())
    assert found.battles.tolist() == [150] * 60 and found.slope_se.max() < 0.5


def test_ratings_hold_where_four_judges_in_ten_are_coins() -> None:
    rng, better, orders = np.random.default_rng(3), [], []
    for _board in range(30):
        tally = votes(rng, np.where(np.arange(50) < 20, 0.0, 1.0), 30)
        found, plain = reliability.fit(tally).theta, bradley_terry.fit(tally.tally().pairs()).theta
        better.append(
            np.std(found / np.std(found) - THETA / np.std(THETA))
            < np.std(plain / np.std(plain) - THETA / np.std(THETA))
        )
        orders.append([kendalltau(one, THETA).statistic for one in (found, plain)])
    assert np.mean(better) > 0.6 and np.mean(orders, axis=0)[0] >= np.mean(orders, axis=0)[1]


def test_intervals_cover() -> None:
    rng, inside = np.random.default_rng(4), []
    for _board in range(120):
        slopes = rng.normal(1, reliability.SPREAD, 40)
        found = reliability.fit(votes(rng, slopes, 40))
        inside.append((np.abs(found.slope - slopes / slopes.mean()) < 1.96 * found.slope_se).mean())
    assert abs(np.mean(inside) - 0.95) < 0.02


def test_a_judge_of_one_vote_stays_at_the_average() -> None:
    tally = votes(np.random.default_rng(5), np.ones(10), 100)
    lone = [
        np.append(getattr(tally, name), value)
        for name, value in (("first", 0), ("second", 7), ("outcome", 0), ("judge", 10))
    ]
    times = np.append(tally.count, 1).astype(int)
    found = reliability.fit(JudgeTally.of_battles(tally.models, *(np.repeat(lone[i], times) for i in (0, 1, 2, 3))))
    assert (
        0.2 < found.slope[10] < 1 and found.slope_se[10] > 0.35
    )  # it voted for the weakest model against the strongest
    same = bradley_terry.fit(tally.tally().pairs()).theta
    assert np.abs(found.theta - same).max() < 0.25


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_names_of_models_and_judges_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tally = votes(rng, np.array([1.0, 0.5, 1.5]), 150, THETA[::2])
    models, judges = rng.permutation(4), rng.permutation(3)
    times = tally.count.astype(int)
    sides = [np.repeat(models[getattr(tally, name)], times) for name in ("first", "second")]
    moved = JudgeTally.of_battles(
        tally.models, *sides, np.repeat(tally.outcome, times), np.repeat(judges[tally.judge], times)
    )
    one, other = reliability.fit(tally), reliability.fit(moved)
    assert np.allclose(other.theta[models], one.theta, atol=1e-7) and np.allclose(
        other.slope[judges], one.slope, atol=1e-7
    )


def test_refusals() -> None:
    unbeaten = JudgeTally.of_battles("ab", [0, 0], [1, 1], [0, 0], [0, 1])
    with pytest.raises(NoFiniteEstimate):
        reliability.fit(unbeaten)
    with pytest.raises(ValueError, match="positive"):
        reliability.fit(unbeaten, spread=0)
