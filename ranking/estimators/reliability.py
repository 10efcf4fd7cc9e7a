"""How much each judge's votes say: Bradley-Terry with a slope per judge. Pure numpy, no Django.

Source: am-ELO (Liu et al., ICML 2025, arXiv 2505.03475): P(i beats j | judge g) = sigmoid(a_g (theta_i - theta_j)), with the
slopes' mean fixed. The mean over battles is 1: a_g = 1 is the average vote, 0 a coin, below 0 somebody who votes the wrong way
round. Kept: the law, the constraint, theta and a fitted together. Differs: a_g ~ N(1, SPREAD^2) besides, because judges of a few
votes have no estimate of their own; half-win ties; Newton on theta and on the slopes in turn; standard errors from the joint
information under the constraint.

The likelihood is concave in theta and in a, not in both: the optimum is the one reached from the plain fit, a = 1 for all.
Shown by tests/ranking/estimators/test_reliability.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ranking.estimators import bradley_terry, sandwich
from ranking.estimators.bradley_terry import NotConverged, laplacian, pseudo_inverse
from ranking.estimators.judges import JudgeTally
from ranking.estimators.tally import Floats

SPREAD = 0.5  # standard deviation of the slopes before any vote
SETTLED = 1e-9
MAX_ROUNDS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """`theta`: (K,) logits of the average vote, mean zero; `theta_se`; `slope`, `slope_se`, `battles`: (J,) by judge."""

    theta: Floats
    theta_se: Floats
    slope: Floats
    slope_se: Floats
    battles: Floats


def fit(tally: JudgeTally, spread: float = SPREAD) -> Reliability:
    """Of a strongly connected tally. Raises bradley_terry.NoFiniteEstimate or NotConverged, ValueError for spread <= 0."""
    if not spread > 0:
        raise ValueError("the spread of slopes must be positive")
    theta, slope = bradley_terry.fit(tally.tally().pairs()).theta, np.ones(tally.judges)
    points = sandwich.VALUES[tally.outcome]
    for _round in range(MAX_ROUNDS):
        moved = _raise_theta(tally, theta, slope, points)
        turned = _raise_slopes(tally, moved, slope, points, spread)
        change = max(float(np.abs(moved - theta).max()), float(np.abs(turned - slope).max()))
        theta, slope = moved, turned
        if change <= SETTLED:
            theta_se, slope_se = _errors(tally, theta, slope, points, spread)
            return Reliability(theta, theta_se, slope, slope_se, _battles(tally))
    raise NotConverged(f"slopes of judges still move by {change:.1e} after {MAX_ROUNDS} rounds")


def _raise_theta(tally: JudgeTally, theta: Floats, slope: Floats, points: Floats) -> Floats:
    """One damped Newton step; the likelihood rises (see bradley_terry.newton for the length)."""
    at, size = slope[tally.judge], tally.size
    p = expit(at * (theta[tally.first] - theta[tally.second]))
    score = tally.count * at * (points - p)
    gradient = np.bincount(tally.first, score, size) - np.bincount(tally.second, score, size)
    step = pseudo_inverse(_pooled(tally, tally.count * at**2 * p * (1 - p))) @ gradient
    reach = float(np.ptp(step)) * float(np.abs(at).max())
    return np.asarray(theta + step * (np.log1p(reach) / reach if reach > 1e-12 else 1.0))


def _raise_slopes(tally: JudgeTally, theta: Floats, slope: Floats, points: Floats, spread: float) -> Floats:
    """One damped Newton step of the slopes: given theta only the constraint ties them to each other."""
    gap = theta[tally.first] - theta[tally.second]
    p = expit(slope[tally.judge] * gap)
    score = np.bincount(tally.judge, tally.count * gap * (points - p), tally.judges) - (slope - 1) / spread**2
    curve = np.bincount(tally.judge, tally.count * gap**2 * p * (1 - p), tally.judges) + 1 / spread**2
    votes = _battles(tally)
    step = (
        score - votes * (votes @ (score / curve)) / (votes @ (votes / curve))
    ) / curve  # keeps the mean over battles
    reach = float(np.abs(step).max() * np.abs(gap).max())
    return np.asarray(slope + step * (np.log1p(reach) / reach if reach > 1e-12 else 1.0))


def _errors(tally: JudgeTally, theta: Floats, slope: Floats, points: Floats, spread: float) -> tuple[Floats, Floats]:
    """Standard errors (K,), (J,). Joint information [[T, C], [C', D]], D diagonal; G = D^-1 within the constraint on slopes:
    theta has T - C G C' inverted, the slopes G + G C' (T - C G C')^-1 C G."""
    size, judges, at = tally.size, tally.judges, slope[tally.judge]
    gap = theta[tally.first] - theta[tally.second]
    p = expit(at * gap)
    weight = p * (1 - p)
    own = np.bincount(tally.judge, tally.count * gap**2 * weight, judges) + 1 / spread**2
    mixed = tally.count * (at * gap * weight - (points - p))
    cross = np.zeros((size, judges))
    np.add.at(cross, (tally.first, tally.judge), mixed)
    np.add.at(cross, (tally.second, tally.judge), -mixed)
    fixed = _battles(tally) / own
    fixed /= np.sqrt(fixed @ (own * fixed))
    turned = cross / own - np.outer(cross @ fixed, fixed)  # C G
    bread = pseudo_inverse(_pooled(tally, tally.count * at**2 * weight) - turned @ cross.T)
    slopes = 1 / own - fixed**2 + np.einsum("kj,kj->j", turned, bread @ turned)
    return np.sqrt(np.diag(bread)), np.sqrt(np.maximum(slopes, 0.0))


def _battles(tally: JudgeTally) -> Floats:
    return np.bincount(tally.judge, tally.count, tally.judges).astype(float)


def _pooled(tally: JudgeTally, weight: Floats) -> Floats:
    """(K, K) Laplacian of rows' weights, added up by pair."""
    size = tally.size
    sums = np.bincount(tally.first * size + tally.second, weight, size * size).astype(float)
    met = np.flatnonzero(sums)
    return laplacian(size, met // size, met % size, sums[met])
