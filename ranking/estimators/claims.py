""" "A is better than B": tests of differences with Holm's correction. Pure numpy and scipy, no Django.

z = (theta_A - theta_B) / sqrt(V_AA + V_BB - 2 V_AB), two-sided, because the votes chose the direction. Overlap of two intervals
is no test: the two estimates are dependent, and two intervals may overlap although the difference is certain. Holm (1979) keeps
the probability of any false claim among all of them below the level, whatever the dependence.
Where the covariance has degrees of freedom (`few_judges`), z is a Student's t with the fewer of the two models' degrees.
Shown by tests/ranking/estimators/test_claims.py, also against statsmodels' multipletests.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtr

from ranking.estimators.sandwich import Covariance
from ranking.estimators.tally import Bools, Floats, Ints
from ranking.method import CONFIDENCE


@dataclass(frozen=True, slots=True, eq=False)
class Claims:
    """(M,) tests that theta[better] > theta[worse]; `gap` in logits, `se` of it, `p` alone and `adjusted` for all M."""

    better: Ints
    worse: Ints
    gap: Floats
    se: Floats
    p: Floats
    adjusted: Floats

    def holds(self, confidence: float = CONFIDENCE) -> Bools:
        """Which may be claimed together."""
        return np.asarray(self.adjusted <= 1.0 - confidence)


def neighbours(theta: Floats, covariance: Covariance) -> Claims:
    """Each model against the next one down; K - 1 claims in the order of the board."""
    order = np.argsort(-theta, kind="stable")
    return of_pairs(theta, covariance, order[:-1], order[1:])


def all_pairs(theta: Floats, covariance: Covariance) -> Claims:
    """Every pair, the better one first."""
    order = np.argsort(-theta, kind="stable")
    above, below = np.triu_indices(len(order), 1)
    return of_pairs(theta, covariance, order[above], order[below])


def of_pairs(theta: Floats, covariance: Covariance, better: Ints, worse: Ints) -> Claims:
    """Any list of pairs; a difference without uncertainty (one model twice over) is no claim: p = 1."""
    gap, se = theta[better] - theta[worse], covariance.se_of_difference(better, worse)
    z = np.divide(np.abs(gap), se, out=np.zeros(len(gap)), where=se > 0)
    freedom = covariance.freedom
    p = 2.0 * (ndtr(-z) if freedom is None else stdtr(np.minimum(freedom[better], freedom[worse]), -z))
    return Claims(better, worse, gap, se, p, holm(p))


def holm(p: Floats) -> Floats:
    """(M,) p-values -> adjusted ones: the k-th smallest times M - k + 1, never falling, at most 1."""
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted
