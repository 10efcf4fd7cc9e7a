"""Percentile intervals by a multinomial bootstrap of the stored pair-outcome counts. Pure numpy, no Django.

A replicate draws as many battles as the data hold, with replacement, from the cells (pair, outcome); only counts are
touched, so the cost does not depend on the number of votes. Every replicate is fitted in the mean-zero gauge.

A replicate may have no finite estimate (a model that happened to take every point, or none). Rule: to such a replicate, and
to no other, half a virtual battle that ended in a tie is added for every pair that has met in the data. `Intervals.helped` says
how many needed it; the board warns when they are many, because their ends of the interval then come from the rule.
"""

from dataclasses import dataclass

import numpy as np

from ranking.estimators.bradley_terry import Floats, fit_many, strongly_connected
from ranking.method import CONFIDENCE, REPLICATES, VIRTUAL_BATTLE

REPLICATE_TOLERANCE = 1e-8  # logits; 2e-6 rating points
CHUNK_FLOATS = 1 << 20  # bounds the temporary arrays: about 8 MB each, whatever the number of models


@dataclass(frozen=True, slots=True)
class Intervals:
    """`lower` and `upper`: (K,) logits in the mean-zero gauge; `helped`: replicates that needed the virtual battles."""

    lower: Floats
    upper: Floats
    helped: int


def intervals(wins: Floats, ties: Floats, theta: Floats, seed: int, replicates: int = REPLICATES) -> Intervals:
    """95 % percentile intervals (linear quantiles) of a strongly connected group.

    `wins[i, j]`: battles that i won outright against j; `ties`: symmetric counts of ties; `theta`: their estimate, where
    the replicates start. The same seed and the same order of models give the same intervals.
    """
    thetas, helped = replicate(wins, ties, theta, seed, replicates)
    tail = (1.0 - CONFIDENCE) / 2.0
    lower, upper = np.quantile(thetas, [tail, 1.0 - tail], axis=0)
    return Intervals(lower, upper, helped)


def replicate(wins: Floats, ties: Floats, theta: Floats, seed: int, replicates: int) -> tuple[Floats, int]:
    """(replicates, K) thetas and how many needed the virtual battles."""
    rng, k = np.random.default_rng(seed), len(wins)
    first, second = np.nonzero(np.triu(wins + wins.T + ties))
    cells = np.concatenate([wins[first, second], wins[second, first], ties[first, second]])
    filled = np.flatnonzero(cells)
    total = int(cells.sum())
    size = max(1, CHUNK_FLOATS // (k * k))
    thetas, helped = np.empty((replicates, k)), 0
    for begin in range(0, replicates, size):
        count = min(size, replicates - begin)
        drawn = np.zeros((count, len(cells)))
        drawn[:, filled] = rng.multinomial(total, cells[filled] / total, size=count)
        points = _points(drawn, first, second, k)
        lost = ~strongly_connected(points)
        points[lost] += VIRTUAL_BATTLE / 2 * (wins + wins.T + ties > 0)
        helped += int(lost.sum())
        thetas[begin : begin + count] = fit_many(points, theta, REPLICATE_TOLERANCE)
    return thetas, helped


def _points(drawn: Floats, first: np.ndarray, second: np.ndarray, k: int) -> Floats:
    """(B, 3 * pairs) drawn outcomes -> (B, K, K) points taken by row from column."""
    won, lost, tied = np.split(drawn, 3, axis=1)
    points = np.zeros((len(drawn), k, k))
    points[:, first, second] = won + tied / 2
    points[:, second, first] = lost + tied / 2
    return points
