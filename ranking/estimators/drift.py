"""Do strengths stay what they are? A chi-square test of constancy per model, ratings by period, a fit that forgets. No Django.

Test: at the fit of all periods, model m is allowed a strength of its own in each period. The score of these T extras is the sum
of m's residuals in each period; its covariance is that of the battles' scores less what estimating theta takes away,
s_t - I_t H^+ s, taken from the residuals themselves (a robust score test, White 1982), so ties need no law. Chi-square with
one degree per period in which m played, less one. It needs one fit and exists wherever that fit does.

`forgetful`: battles of age a count 2^(-a / half-life). `series`: each period's own fit, at the level where its ranked models
have the mean of their overall ratings, because periods have no common gauge. Shown by tests/ranking/estimators/test_drift.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from ranking.estimators import bradley_terry, sandwich
from ranking.estimators.bradley_terry import NotConverged, chances, information, pseudo_inverse
from ranking.estimators.connectivity import Standing, ranked_group
from ranking.estimators.tally import OUTCOMES, Floats, Ints, Tally


@dataclass(frozen=True, slots=True, eq=False)
class Constancy:
    """(K,) per model: chi-square `statistic` on `freedom` degrees and its `p_value`; 0, 0 and 1 for a model of one period.

    `moved`: (T, K) one-step estimates in logits of how far the model was from its overall strength (nan where it did not play).
    """

    statistic: Floats
    freedom: Ints
    p_value: Floats
    moved: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Period:
    """`theta`, `se`: (K,) logits on the overall fit's level, nan for a model that the period alone cannot rank."""

    theta: Floats
    se: Floats
    standing: tuple[Standing, ...]
    battles: float


@dataclass(frozen=True, slots=True, eq=False)
class Forgetful:
    """The time-weighted estimate: (K,) logits, mean zero, (K, K) covariance, and the battles that the weights leave."""

    theta: Floats
    covariance: Floats
    effective: float


def pooled(periods: Sequence[Tally], weights: Sequence[float] | None = None) -> Tally:
    """One tally of all periods. `inverse_p` and `inverse_p2` hold sums of the weights (default 1) and of their squares.

    Raises ValueError for no period, or periods of other models.
    """
    if not periods or any(one.models != periods[0].models for one in periods):
        raise ValueError("periods must be one or more tallies of the same models")
    weights = [1.0] * len(periods) if weights is None else list(weights)
    size = periods[0].size
    keys = np.concatenate([((p.first * size + p.second) * 2 + ~p.first_was_a) * OUTCOMES + p.outcome for p in periods])
    cells, place = np.unique(keys, return_inverse=True)
    counts = np.concatenate([p.count for p in periods])
    weight = np.concatenate([np.full(len(p.count), w) for p, w in zip(periods, weights, strict=True)])
    sums = [
        np.bincount(place, column, len(cells)).astype(float) for column in (counts, counts * weight, counts * weight**2)
    ]
    pair, rest = np.divmod(cells, 2 * OUTCOMES)
    return Tally(periods[0].models, pair // size, pair % size, rest < OUTCOMES, rest % OUTCOMES, *sums)


def constancy(periods: Sequence[Tally]) -> Constancy:
    """The test of each model of a strongly connected whole. Raises NoFiniteEstimate, or ValueError as `pooled`."""
    pairs = pooled(periods).pairs()
    theta = bradley_terry.fit(pairs).theta
    bread = pseudo_inverse(information(pairs, theta))
    size, count = len(theta), len(periods)
    scores, curves = np.zeros((count, size)), np.zeros((count, size))
    crosses = np.zeros((count, size, size))  # row m: information between m's extra in the period and theta
    meats = np.zeros((count, size, size))
    for t, tally in enumerate(periods):
        p, q = chances(tally.first, tally.second, theta)
        residual = tally.count * (sandwich.VALUES[tally.outcome] - p)
        scores[t] = np.bincount(tally.first, residual, size) - np.bincount(tally.second, residual, size)
        crosses[t] = _laplacian(tally, tally.count * p * q)
        curves[t] = np.diag(crosses[t])
        meats[t] = _laplacian(tally, tally.count * (sandwich.VALUES[tally.outcome] - p) ** 2)
    statistic, freedom = np.zeros(size), np.zeros(size, np.int64)
    total = meats.sum(axis=0)
    for m in range(size):
        statistic[m], freedom[m] = _test(scores[:, m], crosses[:, m] @ bread, meats, total, m)
    moved = np.divide(scores, curves, out=np.full(scores.shape, np.nan), where=curves > 0)
    p_value = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), np.maximum(statistic, 0)), 1.0)
    return Constancy(statistic, freedom, p_value, moved)


def _test(score: Floats, lever: Floats, meats: Floats, total: Floats, m: int) -> tuple[float, int]:
    """`score` (T,) of model m; `lever` (T, K) = I_t H^+. Covariance of s_t - lever_t s, with the battles' own squares."""
    shared = meats[:, m] @ lever.T  # (T, T): cov(s_t, lever_u s) = row m of the period's meat times lever_u
    covariance = np.diag(meats[:, m, m]) - shared - shared.T + lever @ total @ lever.T
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    kept = values > 1e-9 * max(float(meats[:, m, m].max()), 1e-300)
    along = vectors.T[kept] @ score
    return float((along**2 / values[kept]).sum()), int(kept.sum())


def _laplacian(tally: Tally, weight: Floats) -> Floats:
    size = tally.size
    flat = np.bincount(tally.first * size + tally.second, weight, size * size).reshape(size, size)
    made = -(flat + flat.T)
    made[np.arange(size), np.arange(size)] = -made.sum(axis=1)
    return np.asarray(made)


def series(periods: Sequence[Tally]) -> list[Period]:
    """Ratings by period with sandwich errors. Raises NoFiniteEstimate where the whole has none, or ValueError as `pooled`."""
    whole = bradley_terry.fit(pooled(periods).pairs()).theta
    return [_period(tally, whole) for tally in periods]


def _period(tally: Tally, whole: Floats) -> Period:
    group = ranked_group(tally.pairs())
    theta, se = np.full(tally.size, np.nan), np.full(tally.size, np.nan)
    if len(group.members):
        inside = tally.select(group.members)
        try:
            own = bradley_terry.fit(inside.pairs(), start=whole[group.members]).theta
        except NotConverged:
            return Period(theta, se, (Standing.DISCONNECTED,) * tally.size, tally.total)
        theta[group.members] = own + whole[group.members].mean()
        se[group.members] = sandwich.battle(inside, own).se
    return Period(theta, se, group.standing, tally.total)


def forgetful(periods: Sequence[Tally], ages: Sequence[float], half_life: float) -> Forgetful:
    """`ages` of the periods and the `half_life` in one unit. Raises ValueError for a half-life <= 0, NoFiniteEstimate."""
    if not half_life > 0:
        raise ValueError("the half-life must be positive")
    tally = pooled(periods, [0.5 ** (age / half_life) for age in ages])
    theta = bradley_terry.fit(tally.pairs(reweighted=True)).theta
    covariance = sandwich.battle(tally, theta, reweighted=True).matrix
    return Forgetful(theta, covariance, float(tally.inverse_p.sum() ** 2 / tally.inverse_p2.sum()))
