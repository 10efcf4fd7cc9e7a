"""Reweighting by the probability of the draw (Chatbot Arena, arXiv 2403.04132, equation 7), beside the plain estimate. No Django.

A battle whose pair was drawn with probability P counts 1 / P, so that pairs which active sampling favours weigh what they would
under a uniform draw. If Bradley-Terry holds exactly, both estimates aim at the same strengths and the plain one is sharper; if
it does not, they differ, and the difference shows how much the board owes to what was drawn. Kept: the weights and the sandwich
(H from sums of 1 / P, B from sums of 1 / P^2). Added: the covariance of the difference, by the battles' two influences, its
chi-square test, and effective sample sizes (sum w)^2 / sum w^2. Shown by tests/ranking/estimators/test_reweighting.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from ranking.estimators import bradley_terry, sandwich
from ranking.estimators.bradley_terry import chances, information, laplacian, pseudo_inverse
from ranking.estimators.tally import Floats, Tally

SAME = 1e-9  # logits: closer estimates are equal, as with equal weights


@dataclass(frozen=True, slots=True, eq=False)
class Reweighted:
    """(K,) logits in the mean-zero gauge, (K, K) covariances by the sandwich.

    `difference` = theta - plain, with `difference_se`; `p_value` of the chi-square `statistic` on `freedom` degrees tests that
    all of it is chance. `effective`: battles that the weights leave; `effective_by_model`: (K,) of each model's battles.
    """

    theta: Floats
    covariance: Floats
    plain: Floats
    plain_covariance: Floats
    difference: Floats
    difference_se: Floats
    statistic: float
    freedom: int
    p_value: float
    battles: float
    effective: float
    effective_by_model: Floats


def estimate(tally: Tally) -> Reweighted:
    """Of a strongly connected tally. Raises bradley_terry.NoFiniteEstimate or NotConverged."""
    pooled, weighted = tally.pairs(), tally.pairs(reweighted=True)
    plain = bradley_terry.fit(pooled).theta
    theta = bradley_terry.fit(weighted, start=plain).theta
    covariance = sandwich.battle(tally, theta, reweighted=True).matrix
    plain_covariance = sandwich.battle(tally, plain).matrix
    bread = pseudo_inverse(information(weighted, theta))
    other = pseudo_inverse(information(pooled, plain))
    shared = bread @ _shared(tally, theta, plain) @ other
    difference, spread = theta - plain, covariance + plain_covariance - shared - shared.T
    statistic, freedom = _chi_square(difference, spread, float(np.trace(covariance)))
    return Reweighted(
        theta,
        covariance,
        plain,
        plain_covariance,
        difference,
        np.sqrt(np.maximum(np.diag(spread), 0.0)),
        statistic,
        freedom,
        float(chdtrc(freedom, max(statistic, 0))) if freedom else 1.0,
        tally.total,
        effective(tally),
        _by_model(tally),
    )


def effective(tally: Tally) -> float:
    """(sum 1/P)^2 / sum 1/P^2: as many battles with equal weights would be as precise."""
    squares = float(tally.inverse_p2.sum())
    return float(tally.inverse_p.sum()) ** 2 / squares if squares else 0.0


def _by_model(tally: Tally) -> Floats:
    sums = [
        np.bincount(tally.first, column, tally.size) + np.bincount(tally.second, column, tally.size)
        for column in (tally.inverse_p, tally.inverse_p2)
    ]
    return np.divide(sums[0] ** 2, sums[1], out=np.zeros(tally.size), where=sums[1] > 0)


def _shared(tally: Tally, theta: Floats, plain: Floats) -> Floats:
    """(K, K) sum over battles of (1 / P) s_weighted s_plain': what the two estimates' scores have in common."""
    residuals = [sandwich.VALUES[tally.outcome] - chances(tally.first, tally.second, at)[0] for at in (theta, plain)]
    size = tally.size
    keys, weight = tally.first * size + tally.second, tally.inverse_p * residuals[0] * residuals[1]
    met, place = np.unique(keys, return_inverse=True)
    return laplacian(size, met // size, met % size, np.bincount(place, weight, len(met)).astype(float))


def _chi_square(difference: Floats, spread: Floats, scale: float) -> tuple[float, int]:
    if np.abs(difference).max() < SAME:
        return 0.0, 0
    values, vectors = np.linalg.eigh((spread + spread.T) / 2)
    kept = values > 1e-9 * scale
    along = vectors.T[kept] @ difference
    return float((along**2 / values[kept]).sum()), int(kept.sum())
