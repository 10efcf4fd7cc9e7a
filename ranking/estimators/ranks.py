"""Ranks with their uncertainty (Chatbot Arena, arXiv 2403.04132, section 5, equation 1). Pure numpy, no Django.

`bounds`: what simultaneous intervals leave open. rank = 1 + models whose lower end is above my upper end; with simultaneous
intervals it is at or above every model's true rank with their confidence (nobody is ranked too low), and `worst` the reverse.
`intervals` and `p_first`: how ranks fall in bootstrap replicates. Shown by tests/ranking/estimators/test_ranks.py.
"""

import numpy as np

from ranking.estimators.tally import Floats, Ints
from ranking.method import CONFIDENCE

EQUAL = 1e-7  # logits, 2e-5 points: replicates are settled to less, so models that are nearer are equal in the data


def bounds(lower: Floats, upper: Floats) -> tuple[Ints, Ints]:
    """(K,), (K,) interval ends -> best and worst rank that they leave open; the best one is the shown rank.

    best = 1 + models whose lower end is above my upper end; worst = K - models whose upper end is below my lower one.
    """
    best = 1 + len(lower) - np.searchsorted(np.sort(lower), upper, side="right")
    worst = len(lower) - np.searchsorted(np.sort(upper), lower, side="left")
    return best.astype(np.int64), worst.astype(np.int64)


def of_replicates(thetas: Floats) -> tuple[Ints, Ints]:
    """(B, K) -> best and worst rank of each model in each replicate, (B, K) each; they differ where models are equal."""
    order = np.argsort(thetas, axis=1, kind="stable")
    sorted_, place = _even(np.take_along_axis(thetas, order, axis=1)), np.arange(thetas.shape[1])
    rises = np.diff(sorted_, axis=1, prepend=-np.inf) > 0
    below = np.maximum.accumulate(np.where(rises, place, 0), axis=1)  # models strictly below
    ends = np.roll(rises, -1, axis=1)
    ends[:, -1:] = True
    upto = np.minimum.accumulate(np.where(ends, place + 1, len(place))[:, ::-1], axis=1)[:, ::-1]  # below or equal
    best, worst = np.empty((2, *order.shape), np.int64)
    np.put_along_axis(best, order, 1 + len(place) - upto, axis=1)
    np.put_along_axis(worst, order, len(place) - below, axis=1)
    return best, worst


def intervals(thetas: Floats, confidence: float = CONFIDENCE) -> tuple[Ints, Ints]:
    """(B, K) replicates -> (K,) lower and upper ends of each model's rank: whole ranks, rounded outwards.

    The lower end is of best ranks and the upper one of worst ranks, so that models that are always equal share an interval.
    """
    (best, worst), tail = of_replicates(thetas), (1.0 - confidence) / 2.0
    lower = np.quantile(best, tail, axis=0, method="lower")
    upper = np.quantile(worst, 1.0 - tail, axis=0, method="higher")
    return lower.astype(np.int64), upper.astype(np.int64)


def p_first(thetas: Floats) -> Floats:
    """(B, K) -> (K,) share of replicates in which each model leads; who lead together share the replicate. Sums to 1."""
    leads = thetas >= thetas.max(axis=1, keepdims=True) - EQUAL
    return np.asarray((leads / leads.sum(axis=1, keepdims=True)).mean(axis=0))


def _even(ascending: Floats) -> Floats:
    """Values that follow one another by at most EQUAL become the same."""
    close = np.diff(ascending, axis=1, prepend=-np.inf) <= EQUAL
    first = np.maximum.accumulate(np.where(close, 0, np.arange(ascending.shape[1])), axis=1)
    return np.asarray(np.take_along_axis(ascending, first, axis=1))
