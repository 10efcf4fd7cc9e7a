"""Claims that stay valid however often one looks: confidence sequences for differences of ratings. Pure numpy, no Django.

A board is looked at after every vote. A 95 % interval for a fixed number of votes, looked at for long enough, will exclude the
truth some day; a confidence sequence excludes it at ANY time with at most 5 %. Source: the normal mixture boundary
(Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021, arXiv 1810.08240) on the scale of the central limit theorem:
asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, arXiv 2103.06476, theorem 2.2),

    estimate_n +- se_n * sqrt((1 + 1 / (n rho^2)) * 2 log(sqrt(n rho^2 + 1) / alpha)),    se_n = sigma_n / sqrt(n).

One-sided: from the mixture over half a normal, 2 E(S) Phi(.) with 1 - Phi(z) <= exp(-z^2 / 2) / 2, the logarithm becomes
log((1 + sqrt(n rho^2 + 1) / alpha) / 2). rho is chosen to be tightest near `planned` votes (the sequence is valid for any).

Kept: boundary, choice of rho. Different: the mean is a Bradley-Terry difference with its sandwich error, so validity is
asymptotic in that too, and no claim is made about models with fewer than SEQUENCE_START votes; errors with few degrees of
freedom (`few_judges`) are stretched as Student's quantile at alpha is beyond the normal one. Shown by
tests/ranking/estimators/test_sequences.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ranking.estimators.sandwich import Covariance
from ranking.estimators.simultaneous import student
from ranking.estimators.tally import Floats
from ranking.method import CONFIDENCE, SEQUENCE_PLANNED, SEQUENCE_START


@dataclass(frozen=True, slots=True)
class Leader:
    """`model`: position of the highest rating; `confirmed`: above all others at any-time confidence; `margin`: the
    smallest of (difference - radius) in logits, positive where confirmed; `runner_up`: the model of that margin."""

    model: int
    confirmed: bool
    margin: float
    runner_up: int


def rho_squared(planned: float, alpha: float) -> float:
    """The mixture's precision that makes the two-sided sequence tightest at `planned` votes (arXiv 2103.06476, B.2)."""
    return float((-2.0 * np.log(alpha) + np.log(-2.0 * np.log(alpha)) + 1.0) / planned)


def radius(se: ArrayLike, votes: ArrayLike, alpha: float, planned: float = SEQUENCE_PLANNED) -> Floats:
    """Half-width of the two-sided sequence after `votes` votes, where `se` is the standard error then."""
    rho2 = rho_squared(planned, alpha)
    spread = np.asarray(votes, float) * rho2 + 1.0
    return np.asarray(se) * np.sqrt(spread / (spread - 1.0) * 2.0 * np.log(np.sqrt(spread) / alpha))


def one_sided_radius(se: ArrayLike, votes: ArrayLike, alpha: float, planned: float = SEQUENCE_PLANNED) -> Floats:
    """How far below the estimate the truth may be, at any time, with probability 1 - alpha."""
    rho2 = rho_squared(planned, 2.0 * alpha)
    spread = np.asarray(votes, float) * rho2 + 1.0
    return np.asarray(se) * np.sqrt(spread / (spread - 1.0) * 2.0 * np.log((1.0 + np.sqrt(spread) / alpha) / 2.0))


def leader(theta: Floats, covariance: Covariance, battles: Floats, confidence: float = CONFIDENCE) -> Leader | None:
    """Is the model at the top better than all others, whenever this is asked? None below two models.

    `battles`: (K,) of each model. A false claim needs some model to be above the truly best one, which is one of K - 1
    one-sided sequences, each at alpha / (K - 1). Nothing is confirmed while a model has fewer than SEQUENCE_START battles.
    """
    if len(theta) < 2:
        return None
    top = int(np.argmax(theta))
    others = np.delete(np.arange(len(theta)), top)
    se = covariance.se_of_difference(np.full(len(others), top), others)
    alpha = (1.0 - confidence) / len(others)
    if (freedom := covariance.freedom) is not None:
        se = se * student(np.minimum(freedom[top], freedom[others]), 1.0 - alpha) / student(None, 1.0 - alpha)
    margins = theta[top] - theta[others] - one_sided_radius(se, battles.sum() / 2, alpha)
    closest = int(np.argmin(margins))
    confirmed = bool(margins[closest] > 0 and battles.min() >= SEQUENCE_START)
    return Leader(top, confirmed, float(margins[closest]), int(others[closest]))
