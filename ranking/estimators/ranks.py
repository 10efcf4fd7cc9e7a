"""Ranks with their uncertainty (Chatbot Arena, arXiv 2403.04132, section 5, equation 1). Pure numpy, no Django.

`bounds`: what simultaneous intervals leave open. rank = 1 + models whose lower end is above my upper end; with simultaneous
intervals it is at or above every model's true rank with their confidence (nobody is ranked too low), and `worst` the reverse.
`intervals` and `p_first`: how ranks fall in bootstrap replicates. Shown by tests/ranking/estimators/test_ranks.py.
"""

import numpy as np

from ranking.estimators.tally import Floats, Ints
from ranking.method import CONFIDENCE


def bounds(lower: Floats, upper: Floats) -> tuple[Ints, Ints]:
    """(K,), (K,) interval ends -> best and worst rank that they leave open; the best one is the shown rank.

    best = 1 + models whose lower end is above my upper end; worst = K - models whose upper end is below my lower one.
    """
    best = 1 + len(lower) - np.searchsorted(np.sort(lower), upper, side="right")
    worst = len(lower) - np.searchsorted(np.sort(upper), lower, side="left")
    return best.astype(np.int64), worst.astype(np.int64)


def of_replicates(thetas: Floats) -> Ints:
    """(B, K) -> (B, K) ranks 1..K in each replicate, equal thetas in the order of the models."""
    order = np.argsort(-thetas, axis=1, kind="stable")
    ranks = np.empty(order.shape, np.int64)
    np.put_along_axis(ranks, order, np.arange(1, thetas.shape[1] + 1)[None, :], axis=1)
    return ranks


def intervals(thetas: Floats, confidence: float = CONFIDENCE) -> tuple[Ints, Ints]:
    """(B, K) replicates -> (K,) lower and upper ends of each model's rank: whole ranks, rounded outwards."""
    ranks, tail = of_replicates(thetas), (1.0 - confidence) / 2.0
    lower = np.quantile(ranks, tail, axis=0, method="lower")
    upper = np.quantile(ranks, 1.0 - tail, axis=0, method="higher")
    return lower.astype(np.int64), upper.astype(np.int64)


def p_first(thetas: Floats) -> Floats:
    """(B, K) -> (K,) share of replicates in which each model leads; who lead together share the replicate. Sums to 1."""
    leads = thetas == thetas.max(axis=1, keepdims=True)
    return np.asarray((leads / leads.sum(axis=1, keepdims=True)).mean(axis=0))
