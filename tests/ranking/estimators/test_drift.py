"""Constancy: level and power, a direct computation; periods and forgetting against plain fits."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import bradley_terry, drift, sandwich
from ranking.estimators.connectivity import Standing
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.tally import Tally
from tests.ranking.estimators import law_battles

THETA = np.linspace(-1, 1, 6)


def periods(rng: np.random.Generator, counts: list[int], shift: float = 0.0) -> list[Tally]:
    """Battles with ties; model 2 is `shift` logits better from the middle on."""
    late = THETA + shift * (np.arange(6) == 2)
    return [
        law_battles.battles(rng, DAVIDSON, late if 2 * t >= len(counts) else THETA, count, -0.5)
        for t, count in enumerate(counts)
    ]


def test_the_test_is_level_and_has_power_for_the_model_that_moved() -> None:
    rng, level, power = np.random.default_rng(12), [], []
    for _board in range(300):
        level.append(drift.constancy(periods(rng, [300, 500, 200, 400])).p_value < 0.05)
        power.append(drift.constancy(periods(rng, [300, 500, 200, 400], 0.8)).p_value < 0.05)
    assert abs(np.mean(level) - 0.05) < 0.015 and np.mean(level, axis=0).max() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    hits = np.mean(power, axis=0)
    assert hits[2] > 0.8 and np.delete(hits, 2).max() < 0.3


def test_the_statistic_is_that_of_a_direct_computation() -> None:
    """Row by row: the score of (theta, extras of one model) and the sandwich of its efficient part."""
    parts = periods(np.random.default_rng(2), [150, 250, 200])
    found = drift.constancy(parts)
    times = [p.count.astype(int) for p in parts]
    first, second, outcome = (
        np.concatenate([np.repeat(getattr(p, n), t) for p, t in zip(parts, times, strict=True)])
        for n in ("first", "second", "outcome")
    )
    when = np.repeat(np.arange(3), [t.sum() for t in times])
    design = (np.eye(6)[first] - np.eye(6)[second])[:, 1:]
    points = np.array([1.0, 0.0, 0.5])[outcome]
    glm = sm.GLM(points, design, family=sm.families.Binomial()).fit(tol=1e-14, maxiter=100)
    chance = glm.predict()
    for m in range(6):
        played = (first == m) * 1.0 - (second == m)
        extras = played[:, None] * (when[:, None] == np.arange(3))
        weight = (chance * (1 - chance))[:, None]
        lever = extras.T @ (weight * design) @ np.linalg.inv(design.T @ (weight * design))
        efficient = (extras - design @ lever.T) * (points - chance)[:, None]
        statistic = efficient.sum(axis=0) @ np.linalg.pinv(efficient.T @ efficient, rcond=1e-9) @ efficient.sum(axis=0)
        assert found.freedom[m] == 2 and found.statistic[m] == pytest.approx(statistic, rel=1e-6)
        inside = (points - chance) @ extras / (played**2 @ (weight * (when[:, None] == np.arange(3))))
        assert np.allclose(found.moved[:, m], inside, rtol=1e-6)


def test_a_model_of_one_period_cannot_have_moved() -> None:
    early = law_battles.battles(np.random.default_rng(3), DAVIDSON, THETA, 900, -0.5)
    keep = (early.first != 5) & (early.second != 5)
    columns = ("first", "second", "first_was_a", "outcome", "count", "inverse_p", "inverse_p2")
    late = Tally(early.models, *(getattr(early, name)[keep] for name in columns))
    found = drift.constancy([early, late])
    assert found.freedom.tolist() == [1, 1, 1, 1, 1, 0] and found.p_value[5] == 1 and np.isnan(found.moved[1, 5])
    assert drift.constancy([early]).freedom.tolist() == [0] * 6


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_pooling_is_counting_once(seed: int, k: int) -> None:
    one, other = law_battles.ring(seed, k), law_battles.ring(seed + 1, k)
    both = drift.pooled([one, other])
    assert both.total == one.total + other.total and np.all(both.count == both.inverse_p)
    points = [np.zeros((k, k)) for _ in range(2)]
    for target, parts in zip(points, ([both], [one, other]), strict=True):
        for part in parts:
            met = part.pairs()
            target[met.first, met.second] += met.points
    assert np.array_equal(*points)
    assert np.array_equal(drift.pooled([one]).count, one.count)


def test_periods_are_plain_fits_on_the_level_of_the_whole() -> None:
    parts = periods(np.random.default_rng(4), [800, 800])
    alone = Tally.of_battles(parts[0].models, [0, 0, 1, 3], [1, 1, 0, 4], [0, 1, 2, 0])
    found = drift.series([*parts, alone])
    whole = bradley_terry.fit(drift.pooled([*parts, alone]).pairs()).theta
    own = bradley_terry.fit(parts[1].pairs()).theta
    assert np.allclose(found[1].theta, own, atol=1e-9) and found[1].theta.sum() == pytest.approx(whole.sum(), abs=1e-9)
    assert np.allclose(found[1].se, sandwich.battle(parts[1], own).se)
    assert np.isnan(found[2].theta[2:]).all() and found[2].theta[:2].mean() == pytest.approx(whole[:2].mean())
    assert found[2].standing[3] == Standing.DISCONNECTED and found[2].battles == 4


def test_forgetting_weighs_by_age() -> None:
    parts = periods(np.random.default_rng(5), [4_000, 4_000], 2.0)
    early, late = (bradley_terry.fit(p.pairs()).theta for p in parts)
    quick, slow = (drift.forgetful(parts, [10.0, 0.0], half) for half in (0.5, 1e6))
    assert np.allclose(quick.theta, late, atol=1e-3) and quick.effective == pytest.approx(4_000, rel=1e-3)
    assert np.allclose(slow.theta, bradley_terry.fit(drift.pooled(parts).pairs()).theta, atol=1e-4)
    assert slow.effective == pytest.approx(8_000, rel=1e-6)
    half = drift.forgetful(parts, [1.0, 0.0], 1.0)
    assert early[2] < half.theta[2] < late[2] and half.effective == pytest.approx(6_000**2 / 5_000)
    assert np.allclose(quick.covariance, sandwich.battle(parts[1], late).matrix, rtol=0.02, atol=1e-6)


def test_bad_arguments_are_errors() -> None:
    part = periods(np.random.default_rng(6), [50])[0]
    with pytest.raises(ValueError, match="half-life"):
        drift.forgetful([part], [0.0], 0.0)
    with pytest.raises(ValueError, match="same models"):
        drift.pooled([part, Tally.of_battles("ab", [0], [1], [0])])
    with pytest.raises(ValueError, match="one or more"):
        drift.pooled([])
