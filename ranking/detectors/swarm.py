"""Many voters with a vote or two each, none of whom can be judged alone: what do the young ones say together?

Model by model: the young voters' residuals of one window of time (observed - expected score, against the history of everybody
else) are summed, and compared with their spread. Newcomers are other people than regulars and may differ honestly, so the
spread has a third part that does not shrink with their number: HETEROGENEITY per battle. A campaign of many single votes for
a model must push its residual beyond that to change its rating at all, and then it is seen.

What follows is a quarantine of the ballots, not of the voters: all ballots of young voters in the window that a suspicious
model took part in, whichever way they went. Taking only those that it won would bias its rating the other way. Then the rest
is tested again, until no model stands out. Nominal rate: `alpha` per window, Bonferroni over models and both directions.

Test: tests/ranking/detectors/test_swarm.py (rate under the null and with honestly different newcomers; campaigns; what is
left).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ranking.detectors.history import SCORE, Ballots, History
from ranking.estimators.tally import Floats

ALPHA = 0.001  # per window
HETEROGENEITY = 0.04  # of the expected score, between newcomers and regulars


@dataclass(frozen=True, slots=True)
class Campaign:
    """`model`: position; `z`: positive = the young voters favour it; `battles`: of theirs in the window."""

    model: int
    z: float
    battles: int


def look_at(history: History, ballots: Ballots, heterogeneity: float = HETEROGENEITY) -> tuple[Floats, Floats]:
    """(K,) z per model and (K,) battles, of the young voters' ballots in one window. `history` holds none of them."""
    if not len(ballots):
        return np.zeros(history.size), np.zeros(history.size)
    chance = history.of_each(ballots)
    expected = chance @ SCORE
    variance = chance @ SCORE**2 - expected**2
    residual = SCORE[ballots.outcome] - expected
    size = history.size
    total = np.bincount(ballots.a, residual, size) - np.bincount(ballots.b, residual, size)
    battles = np.bincount(np.concatenate([ballots.a, ballots.b]), np.ones(2 * len(ballots)), size)
    spread = np.bincount(ballots.a, variance, size) + np.bincount(ballots.b, variance, size)
    spread = spread + (heterogeneity * battles) ** 2
    return np.asarray(np.where(battles > 0, total / np.sqrt(np.maximum(spread, 1e-9)), 0.0)), np.asarray(battles, float)


def quarantine(
    history: History, ballots: Ballots, alpha: float = ALPHA, heterogeneity: float = HETEROGENEITY
) -> tuple[NDArray[np.bool_], list[Campaign]]:
    """(N,) which ballots to take out, and the models that stood out, the most extreme first."""
    bound = -float(ndtri(alpha / (2 * history.size)))
    out, campaigns = np.zeros(len(ballots), bool), []
    for _ in range(history.size):
        z, battles = look_at(history, ballots.take(~out), heterogeneity)
        worst = int(np.abs(z).argmax())
        if abs(z[worst]) <= bound:
            break
        campaigns.append(Campaign(worst, float(z[worst]), int(battles[worst])))
        out |= (ballots.a == worst) | (ballots.b == worst)
    return out, campaigns
