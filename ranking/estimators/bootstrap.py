"""Bootstrap of stored counts: every replicate is a fit of resampled votes, in the mean-zero gauge. No Django.

`multinomial` resamples battles, `poisson` lets their number vary, `clustered` resamples judges (battles of one judge are not
independent). Only counts are touched, so the cost does not depend on the number of votes (`clustered`: on the judges' rows).
The same data, order of models and seed give the same replicates.

A replicate may have no finite estimate (a model that happened to take every point, or none). Rule: to such a replicate, and
to no other, half a virtual battle that ended in a tie is added for every pair that has met in the data. `Replicates.helped`
says how many needed it; the board warns when they are many, because their ends of the interval then come from the rule.

Kept from Chatbot Arena (arXiv 2403.04132, section 4.1 and appendix): resampling, percentiles. Different: counts instead of
rows, all replicates iterated together (`chord`), no pinned model, a stated rule instead of a ridge.
"""

from dataclasses import dataclass

import numpy as np

from ranking.estimators import connectivity
from ranking.estimators.bradley_terry import information, newton, pseudo_inverse
from ranking.estimators.chord import Chord
from ranking.estimators.judges import JudgeTally
from ranking.estimators.resampling import Judges, Multinomial, Poisson, Sampler
from ranking.estimators.tally import Floats, Pairs
from ranking.method import CONFIDENCE, REPLICATES, VIRTUAL_BATTLE

CHUNK_BYTES = 48 << 20  # of the drawn outcomes of replicates that are worked on together; bounds the memory
NEWTON_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """`thetas`: (B, K) logits, each row with mean zero; `helped`: replicates that needed the virtual battles.

    `by_newton`: replicates that did not settle within the bounds of `chord`, and that were fitted one by one.
    """

    thetas: Floats
    helped: int
    by_newton: int


def multinomial(pairs: Pairs, theta: Floats, seed: int, replicates: int = REPLICATES) -> Replicates:
    """As many battles as the data hold, with replacement. `pairs`: strongly connected; `theta`: (K,) their estimate."""
    return replicate(pairs, theta, Multinomial(pairs, seed), replicates)


def poisson(pairs: Pairs, theta: Floats, seed: int, replicates: int = REPLICATES) -> Replicates:
    """A Poisson number of each outcome of each pair."""
    return replicate(pairs, theta, Poisson(pairs, seed), replicates)


def clustered(tally: JudgeTally, theta: Floats, seed: int, replicates: int = REPLICATES) -> Replicates:
    """As many judges as there are, with replacement, each with all of their battles."""
    pairs = tally.tally().pairs()
    return replicate(pairs, theta, Judges(tally, pairs, seed), replicates)


def percentiles(thetas: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """(B, K) -> (K,) lower and (K,) upper ends: linear quantiles of the replicates."""
    tail = (1.0 - confidence) / 2.0
    lower, upper = np.quantile(thetas, [tail, 1.0 - tail], axis=0)
    return lower, upper


def replicate(pairs: Pairs, theta: Floats, sampler: Sampler, replicates: int) -> Replicates:
    """Fits `replicates` draws of `sampler`; raises NotConverged where `pairs` are not connected."""
    if pairs.size < 2:
        return Replicates(np.zeros((replicates, pairs.size)), 0, 0)
    chord = Chord(pairs, theta, pseudo_inverse(information(pairs, theta)))
    size = max(1, CHUNK_BYTES // (12 * len(pairs.first)))
    thetas, helped, by_newton = np.empty((replicates, pairs.size)), 0, 0
    for begin in range(0, replicates, size):
        chunk = slice(begin, min(begin + size, replicates))
        up, down = sampler.draw(chunk.stop - begin)
        estimable = connectivity.each_connected(pairs.size, pairs.first, pairs.second, up > 0, down > 0)
        virtual = np.where(estimable, 0.0, VIRTUAL_BATTLE)
        thetas[chunk], settled = chord.solve(up, down, virtual)
        for row in np.flatnonzero(~settled):
            won, lost = (side[:, row].astype(np.float64) + virtual[row] / 2 for side in (up, down))
            thetas[begin + row], _ = newton(pairs.first, pairs.second, won, lost, theta, NEWTON_TOLERANCE)
        helped, by_newton = helped + int((virtual > 0).sum()), by_newton + int((~settled).sum())
    return Replicates(thetas, helped, by_newton)
