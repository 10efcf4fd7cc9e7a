"""Residuals: what a voter gave each model beyond what the history expects, as z-tests; for a fixed number of votes.

Per model m: sum over the voter's battles of (observed - expected score of m), divided by its standard deviation under the
history. The variance has two parts: that of the votes themselves, and that of the expectations, which come from a finite
history. Bonferroni over the models (two-sided). `agreement` is one more contrast: whether the voter's preferences go along
with the expected ones at all. It sees those who vote against quality (random, inverted, anti-strong) long before any single
model does.

Both are valid at one look. Who looks again and again spends alpha over the looks: `ranking/detectors/sequential.py`. Test:
tests/ranking/detectors/test_residual.py (variance and rate under the null, power on the published generator).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ranking.detectors.history import PRIOR, SCORE, Ballots, History
from ranking.estimators.tally import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """`z`: (K,) per model, 0 where the voter never met it; `p`: Bonferroni-corrected; `model`: the most extreme position."""

    z: Floats
    model: int
    p: float
    agreement: float  # z; negative = against what others prefer
    agreement_p: float  # one-sided


def look_at(history: History, ballots: Ballots) -> Residuals:
    """Of all ballots together. p = 1 where there are none."""
    size = history.size
    if not len(ballots):
        return Residuals(np.zeros(size), 0, 1.0, 0.0, 1.0)
    chance = history.of_each(ballots)
    expected = chance @ SCORE
    variance = chance @ SCORE**2 - expected**2
    residual = SCORE[ballots.outcome] - expected
    total, spread = _per_model(history, ballots, residual, variance)
    z = np.where(spread > 0, total / np.sqrt(np.maximum(spread, 1e-12)), 0.0)
    met = max(1, int((spread > 0).sum()))
    worst = int(np.abs(z).argmax())
    lean = expected - 0.5
    power = float((variance * lean**2).sum())
    agreement = float((residual * lean).sum() / np.sqrt(power)) if power > 0 else 0.0
    p = min(1.0, met * 2 * float(ndtr(-abs(z[worst]))))
    return Residuals(z, worst, p, agreement, float(ndtr(agreement)))


def _per_model(history: History, ballots: Ballots, residual: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """(K,) sums of residuals, and their variances: of the votes, and of the expectation of each pair that they share."""
    size = history.size
    total = np.bincount(ballots.a, residual, size) - np.bincount(ballots.b, residual, size)
    spread = np.bincount(ballots.a, variance, size) + np.bincount(ballots.b, variance, size)
    pair = np.minimum(ballots.a, ballots.b) * size + np.maximum(ballots.a, ballots.b)
    met, at, times = np.unique(pair, return_index=True, return_counts=True)
    first, second = np.divmod(met, size)
    shared = times**2 * variance[at] / (history.battles[first, second] + PRIOR)
    spread += np.bincount(first, shared, size) + np.bincount(second, shared, size)
    return np.asarray(total), np.asarray(spread)
