"""Sandwich covariance of Bradley-Terry: V = H^-1 B H^-1 (Chatbot Arena, arXiv 2403.04132, section 4.1 and appendix A). No Django.

H is the information, B the empirical covariance of the scores: battle by battle, or summed within each judge first, because
battles of one judge are not independent. It holds whether or not ties follow the model (half a win is no binomial outcome).

Kept: the formula, and weights 1 / P (equation 7: H takes sums of 1 / P, B of 1 / P^2). Different: no ridge, pseudo-inverse by
Cholesky in the mean-zero gauge, and judges. Shown by tests/ranking/estimators/test_sandwich.py and test_exact.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ranking.estimators.bradley_terry import chances, laplacian, pseudo_inverse
from ranking.estimators.judges import JudgeTally
from ranking.estimators.tally import Floats, Ints, Tally

VALUES = np.array([1.0, 0.0, 0.5, 0.5])  # points of `first`, by Outcome


class TooFewJudges(ValueError):
    """One judge alone shows nothing of how judges differ."""


@dataclass(frozen=True, slots=True, eq=False)
class Covariance:
    """`matrix`: (K, K) of theta in the mean-zero gauge, in squared logits; `clusters`: judges, where it is by judge.

    Of `few_judges` also, (K,) of each model: degrees of `freedom` of its quotient, and the `effective` judges of its error.
    """

    matrix: Floats
    clusters: int | None = None
    freedom: Floats | None = None
    effective: Floats | None = None

    @property
    def se(self) -> Floats:
        """(K,) standard errors in logits."""
        return np.sqrt(np.maximum(self.matrix.diagonal(), 0.0))

    def se_of_difference(self, first: Ints, second: Ints) -> Floats:
        """Standard errors of theta[first] - theta[second]: Var = V_ii + V_jj - 2 V_ij, not two intervals side by side."""
        v, d = self.matrix, self.matrix.diagonal()
        return np.sqrt(np.maximum(d[first] + d[second] - 2.0 * v[first, second], 0.0))


def battle(tally: Tally, theta: Floats, reweighted: bool = False) -> Covariance:
    """Battles independent. `theta`: the estimate of `tally.pairs(reweighted)`. Raises NotConverged if not connected."""
    weight, squared = (tally.inverse_p, tally.inverse_p2) if reweighted else (tally.count, tally.count)
    p, q = chances(tally.first, tally.second, theta)
    residual = VALUES[tally.outcome] * q - (1.0 - VALUES[tally.outcome]) * p
    bread = pseudo_inverse(pooled(tally, weight * p * q))
    return Covariance(_sandwich(bread, pooled(tally, squared * residual**2)))


def clustered(tally: JudgeTally, theta: Floats) -> Covariance:
    """Judges independent: B = J / (J - 1) sum_j s_j s_j^T, s_j being the score of all battles of judge j.

    `theta`: the estimate of `tally.tally().pairs()`. With few judges (under about 40) it is itself uncertain.
    Raises TooFewJudges for one judge, NotConverged if not connected.
    """
    if tally.judges < 2:
        raise TooFewJudges(f"{tally.judges} judge: a covariance by judge needs two at least")
    p, q = chances(tally.first, tally.second, theta)
    score = tally.count * (VALUES[tally.outcome] * q - (1.0 - VALUES[tally.outcome]) * p)
    entries = np.concatenate([score, -score]), (np.tile(tally.judge, 2), np.concatenate([tally.first, tally.second]))
    scores = csr_array(entries, shape=(tally.judges, tally.size))
    meat = (scores.T @ scores).toarray() * (tally.judges / (tally.judges - 1))
    bread = pseudo_inverse(pooled(tally, tally.count * p * q))
    return Covariance(_sandwich(bread, meat), tally.judges)


def pooled(tally: Tally | JudgeTally, weight: Floats) -> Floats:
    """(K, K) Laplacian of the weights of cells, added up by pair."""
    size = tally.size
    sums = np.bincount(tally.first * size + tally.second, weights=weight, minlength=size * size).astype(np.float64)
    met = np.flatnonzero(sums)
    return laplacian(size, met // size, met % size, sums[met])


def _sandwich(bread: Floats, meat: Floats) -> Floats:
    made = bread @ meat @ bread
    return np.asarray((made + made.T) / 2)
