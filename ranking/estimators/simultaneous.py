"""Intervals of all models: pointwise, and simultaneous by max-t or by chi-square (arXiv 2403.04132, section 5). No Django.

Simultaneous: with probability `confidence` every model's interval holds its truth at once, which is what ranks from
intervals need (paper eq. 1). Each is theta +- c * se with its own critical value c:
- pointwise: the normal quantile, about 1.96, or Student's where the covariance has degrees of freedom (`few_judges`).
- max-t: the quantile of max_m |Z_m| / se_m, Z ~ N(0, V), or over bootstrap replicates; the smallest that holds.
  With degrees of freedom nu_m the draws are Z_m / sqrt(chi2_{nu_m} / nu_m), and each model has its own critical value c q_m, q_m
  being Student's quantile at the confidence per model; the denominators are drawn apart, which is a little wide.
- chi-square: sqrt(chi2_{K-1}), the projection of the joint ellipsoid (the paper's); valid and wider.

Kept: the chi-square set with K - 1 degrees of freedom. Different: max-t is the product's own. Shown by test_coverage.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.special import gammaincinv, ndtri, stdtrit

from ranking.estimators.sandwich import Covariance
from ranking.estimators.tally import Floats
from ranking.method import CONFIDENCE

DRAWS = 20_000  # the critical value's own error: .0015 of confidence
DRAWS_BLOCK = 1 << 20  # floats at a time


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """`lower`, `upper`: (K,) logits in the mean-zero gauge; `critical`: half-widths in standard errors, (K,) with degrees."""

    lower: Floats
    upper: Floats
    critical: float | Floats


def pointwise(theta: Floats, covariance: Covariance, confidence: float = CONFIDENCE) -> Intervals:
    """Each interval alone holds its truth with probability `confidence`."""
    return _around(theta, covariance.se, student(covariance.freedom, 0.5 + confidence / 2.0))


def student(freedom: Floats | None, level: float) -> float | Floats:
    """Quantile of Student's t, or of the normal law where no degrees are given."""
    return float(ndtri(level)) if freedom is None else np.asarray(stdtrit(freedom, level))


def max_t(theta: Floats, covariance: Covariance, seed: int, confidence: float = CONFIDENCE) -> Intervals:
    """All at once, from DRAWS draws of N(0, V), or of its quotients."""
    return _around(theta, covariance.se, critical_max_t(covariance, seed, confidence))


def max_t_of_replicates(theta: Floats, thetas: Floats, confidence: float = CONFIDENCE) -> Intervals:
    """All at once, from (B, K) bootstrap replicates: their spread, and the quantile of their largest deviation."""
    se = thetas.std(axis=0, ddof=1)
    return _around(theta, se, float(np.quantile(_largest(thetas - theta, se), confidence)))


def chi_square(theta: Floats, covariance: Covariance, confidence: float = CONFIDENCE) -> Intervals:
    """All at once, by projecting the ellipsoid of K - 1 degrees of freedom."""
    degrees = max(len(theta) - 1, 1)
    return _around(theta, covariance.se, float(np.sqrt(2.0 * gammaincinv(degrees / 2.0, confidence))))


def critical_max_t(
    covariance: Covariance, seed: int, confidence: float = CONFIDENCE, draws: int = DRAWS
) -> float | Floats:
    """The quantile of max_m |Z_m| / se_m over draws of Z ~ N(0, V); (K,) of the quotients where there are degrees.

    Models are drawn in the order of their errors, through the symmetric root: in whatever order they come, and whichever
    eigenvectors are found, a seed gives the same draws, and so the same ranks.
    """
    order = np.argsort(covariance.se, kind="stable")
    se, level = covariance.se[order], 0.5 + confidence ** (1.0 / len(order)) / 2.0
    freedom = None if covariance.freedom is None else covariance.freedom[order]
    each = student(freedom, level)
    values, vectors = eigh(covariance.matrix[np.ix_(order, order)])
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    generator, below = (np.random.Generator(np.random.SFC64(key)) for key in (seed, [seed, 1]))
    block, largest = max(1, DRAWS_BLOCK // len(values)), []
    for begin in range(0, draws, block):
        normal = generator.standard_normal((min(block, draws - begin), len(values)))
        drawn = normal @ root.T
        if freedom is not None:
            drawn /= each * np.sqrt(below.chisquare(freedom, drawn.shape) / freedom)
        largest.append(_largest(drawn, se))
    found = float(np.quantile(np.concatenate(largest), confidence))
    return found if freedom is None else np.asarray(found * student(covariance.freedom, level))


def _largest(deviations: Floats, se: Floats) -> Floats:
    """(B, K) -> (B,) largest deviation in standard errors; a model without any uncertainty does not count."""
    known = se > 0
    if not known.any():
        return np.zeros(len(deviations))
    return np.asarray(np.abs(deviations[:, known] / se[known]).max(axis=1))


def _around(theta: Floats, se: Floats, critical: float | Floats) -> Intervals:
    return Intervals(theta - critical * se, theta + critical * se, critical)
