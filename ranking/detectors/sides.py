"""Habits that need no history of quality: always the same side, far more or fewer ties than others; for a fixed number of votes.

Sides are shuffled by the site, so an honest voter prefers A in half of the decided battles, whatever the models: exact
binomial test, the smaller tail doubled. (A voter who always presses A looks random to every test of models.) A site whose
readers favour what they see first passes its measured share of first wins. Ties: z-test of the number of ties against the
pairs' own tie rates. Test: tests/ranking/detectors/test_sides.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtr

from ranking.detectors.history import A_WON, TIED, Ballots, History


@dataclass(frozen=True, slots=True)
class Habits:
    """`first`: preferred A in so many of `decided`; `side_p`, `tie_p`: two-sided; `ties_z`: positive = more ties than others."""

    first: int
    decided: int
    side_p: float
    ties_z: float
    tie_p: float


def look_at(history: History, ballots: Ballots, first_share: float = 0.5) -> Habits:
    """Of all ballots together; p = 1 where there is nothing to test. `first_share`: of wins by A on the whole site."""
    decided = int((ballots.outcome != TIED).sum())
    first = int((ballots.outcome == A_WON).sum())
    side_p = _two_sided(first, decided, first_share) if decided else 1.0
    tie = history.of_each(ballots)[:, TIED] if len(ballots) else np.empty(0)
    spread = float((tie * (1 - tie)).sum())
    z = (len(ballots) - decided - float(tie.sum())) / np.sqrt(spread) if spread > 0 else 0.0
    return Habits(first, decided, side_p, float(z), float(2 * ndtr(-abs(z))))


def _two_sided(k: int, n: int, p: float) -> float:
    """Twice the smaller tail of Binomial(n, p), each tail with k itself."""
    at_most, below = float(bdtr(k, n, p)), float(bdtr(k - 1, n, p)) if k else 0.0
    return min(1.0, 2 * min(at_most, 1 - below))
