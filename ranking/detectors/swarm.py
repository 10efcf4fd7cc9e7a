"""Many voters with a vote or two each, none of whom can be judged alone: what do the young ones say together?

Model by model: the young voters' residuals of one window of time (observed - expected score, against the history of everybody
else) are summed, less what the regulars of the same window say (a model that has become better for everybody is no campaign),
and compared with their spread. The spread has parts that do not shrink with the number of votes: newcomers are other people
than regulars and may differ honestly (HETEROGENEITY per battle); the regulars' own shift is known to within as much, less the
more of them voted; the history's estimate of each model is as good as its battles. A campaign of many single votes must push
a model's residual beyond all that to change its rating at all, and then it is seen.

What follows is a quarantine of the ballots, not of the voters: all ballots of young voters in the window that a suspicious
model took part in, whichever way they went. Taking only those that it won would bias its rating the other way. Then the rest
is tested again, until no model stands out. Nominal rate: `alpha` per window, Bonferroni over models and both directions.

Test: tests/ranking/detectors/test_swarm.py (rate under the null, with honestly different newcomers and with drift;
campaigns).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ranking.detectors.history import SCORE, Ballots, History
from ranking.estimators.tally import Floats

ALPHA = 0.001  # per window
HETEROGENEITY = 0.04  # of the expected score, between newcomers and regulars
SCORE_VARIANCE = 0.19  # of one battle between equals, a quarter of which are ties


@dataclass(frozen=True, slots=True)
class Campaign:
    """`model`: position; `z`: positive = the young voters favour it; `battles`: of theirs in the window."""

    model: int
    z: float
    battles: int


def look_at(
    history: History, young: Ballots, regular: Ballots, heterogeneity: float = HETEROGENEITY
) -> tuple[Floats, Floats]:
    """(K,) z per model and (K,) battles of the young voters in one window. `history` holds none of these ballots."""
    total, variance, battles = _residuals(history, young)
    shift, _variance, others = _residuals(history, regular)
    known = others + SCORE_VARIANCE / heterogeneity**2 if heterogeneity else np.full(history.size, np.inf)
    past = np.maximum(history.battles.sum(axis=1), 1.0)
    unsure = heterogeneity**2 + SCORE_VARIANCE / known + SCORE_VARIANCE / past
    spread = variance + battles**2 * unsure
    z = (total - battles * shift / known) / np.sqrt(np.maximum(spread, 1e-9))
    return np.asarray(np.where(battles > 0, z, 0.0)), battles


def _residuals(history: History, ballots: Ballots) -> tuple[Floats, Floats, Floats]:
    """(K,) sums of residuals, of their variances, and battles, per model."""
    chance = history.of_each(ballots)
    expected = chance @ SCORE
    variance = chance @ SCORE**2 - expected**2
    residual = SCORE[ballots.outcome] - expected
    size, one = history.size, np.ones(len(ballots))
    total = np.bincount(ballots.a, residual, size) - np.bincount(ballots.b, residual, size)
    spread = np.bincount(ballots.a, variance, size) + np.bincount(ballots.b, variance, size)
    battles = np.bincount(ballots.a, one, size) + np.bincount(ballots.b, one, size)
    return np.asarray(total), np.asarray(spread), np.asarray(battles)


def quarantine(
    history: History,
    ballots: Ballots,
    regular: Ballots,
    alpha: float = ALPHA,
    heterogeneity: float = HETEROGENEITY,
) -> tuple[NDArray[np.bool_], list[Campaign]]:
    """(N,) which ballots of young voters to take out, and the models that stood out, the most extreme first.

    `regular`: the ballots of all other voters in the window. `history` holds neither.
    """
    bound = -float(ndtri(alpha / (2 * history.size)))
    out, campaigns = np.zeros(len(ballots), bool), []
    for _ in range(history.size):
        z, battles = look_at(history, ballots.take(~out), regular, heterogeneity)
        worst = int(np.abs(z).argmax())
        if abs(z[worst]) <= bound:
            break
        campaigns.append(Campaign(worst, float(z[worst]), int(battles[worst])))
        out |= (ballots.a == worst) | (ballots.b == worst)
    return out, campaigns
