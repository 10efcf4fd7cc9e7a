"""Intervals of all models: pointwise, and simultaneous by max-t or by chi-square (arXiv 2403.04132, section 5). No Django.

Simultaneous: with probability `confidence` every model's interval holds its truth at once, which is what ranks from
intervals need (paper eq. 1). Each is theta +- c * se with its own critical value c:
- pointwise: the normal quantile, about 1.96.
- max-t: the quantile of max_m |Z_m| / se_m, Z ~ N(0, V), or over bootstrap replicates; the smallest that holds.
- chi-square: sqrt(chi2_{K-1}), the projection of the joint ellipsoid (the paper's); valid and wider.

Kept: the chi-square set with K - 1 degrees of freedom. Different: max-t is the product's own. Shown by test_coverage.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.special import gammaincinv, ndtri

from ranking.estimators.sandwich import Covariance
from ranking.estimators.tally import Floats
from ranking.method import CONFIDENCE

DRAWS = 20_000  # the critical value's own error: .0015 of confidence
DRAWS_BLOCK = 1 << 20  # floats at a time


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """`lower`, `upper`: (K,) logits in the mean-zero gauge; `critical`: half-widths in standard errors."""

    lower: Floats
    upper: Floats
    critical: float


def pointwise(theta: Floats, covariance: Covariance, confidence: float = CONFIDENCE) -> Intervals:
    """Each interval alone holds its truth with probability `confidence`."""
    return _around(theta, covariance.se, float(ndtri(0.5 + confidence / 2.0)))


def max_t(theta: Floats, covariance: Covariance, seed: int, confidence: float = CONFIDENCE) -> Intervals:
    """All at once, from DRAWS draws of N(0, V)."""
    return _around(theta, covariance.se, critical_max_t(covariance, seed, confidence))


def max_t_of_replicates(theta: Floats, thetas: Floats, confidence: float = CONFIDENCE) -> Intervals:
    """All at once, from (B, K) bootstrap replicates: their spread, and the quantile of their largest deviation."""
    se = thetas.std(axis=0, ddof=1)
    return _around(theta, se, float(np.quantile(_largest(thetas - theta, se), confidence)))


def chi_square(theta: Floats, covariance: Covariance, confidence: float = CONFIDENCE) -> Intervals:
    """All at once, by projecting the ellipsoid of K - 1 degrees of freedom."""
    degrees = max(len(theta) - 1, 1)
    return _around(theta, covariance.se, float(np.sqrt(2.0 * gammaincinv(degrees / 2.0, confidence))))


def critical_max_t(covariance: Covariance, seed: int, confidence: float = CONFIDENCE, draws: int = DRAWS) -> float:
    """The quantile of max_m |Z_m| / se_m over draws of Z ~ N(0, V)."""
    values, vectors = eigh(covariance.matrix)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    generator = np.random.Generator(np.random.SFC64(seed))
    block, largest = max(1, DRAWS_BLOCK // len(values)), []
    for begin in range(0, draws, block):
        normal = generator.standard_normal((min(block, draws - begin), len(values)))
        largest.append(_largest(normal @ root.T, covariance.se))
    return float(np.quantile(np.concatenate(largest), confidence))


def _largest(deviations: Floats, se: Floats) -> Floats:
    """(B, K) -> (B,) largest deviation in standard errors; a model without any uncertainty does not count."""
    known = se > 0
    if not known.any():
        return np.zeros(len(deviations))
    return np.asarray(np.abs(deviations[:, known] / se[known]).max(axis=1))


def _around(theta: Floats, se: Floats, critical: float) -> Intervals:
    return Intervals(theta - critical * se, theta + critical * se, critical)
