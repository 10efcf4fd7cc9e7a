"""Uncertainty of the ranked group at one level: battles independent, or judges independent and their battles not.

Standard errors come from the sandwich, the pointwise ends from the bootstrap's percentiles, the joint ends from max-t over the
sandwich; ranks from the joint ends (Chatbot Arena, section 5, equation 1). A style-controlled board has no counts to resample:
its replicates are draws from the normal law of the sandwich.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from ranking.board.board_format import Ends, Level
from ranking.estimators import bootstrap, ranks, sandwich, simultaneous
from ranking.estimators.bradley_terry import PER_LOGIT, to_rating
from ranking.estimators.judges import JudgeTally
from ranking.estimators.sandwich import Covariance
from ranking.estimators.tally import Floats, Ints, Tally

QUANTILES = np.linspace(0.0, 1.0, 21)


@dataclass(frozen=True, slots=True, eq=False)
class Uncertain:
    """`thetas`: (B, K) replicates in the mean-zero gauge; `helped`: those that had no estimate of their own; (K,) the others."""

    level: Level
    covariance: Covariance
    thetas: Floats
    helped: int
    lower: Floats
    upper: Floats
    joint: simultaneous.Intervals
    rank: Ints
    rank_worst: Ints

    def ends(self, i: int) -> Ends:
        """Of the model at position i, in rating points."""
        return Ends(
            se=float(PER_LOGIT * self.covariance.se[i]),
            lower=float(to_rating(self.lower[i])),
            upper=float(to_rating(self.upper[i])),
            joint_lower=float(to_rating(self.joint.lower[i])),
            joint_upper=float(to_rating(self.joint.upper[i])),
            rank=int(self.rank[i]),
            rank_worst=int(self.rank_worst[i]),
        )

    def quantiles(self) -> Floats:
        """(21, K) rating points."""
        return to_rating(np.quantile(self.thetas, QUANTILES, axis=0))


def by_battle(tally: Tally, theta: Floats, seed: int, replicates: int) -> Uncertain:
    """What the public log can rebuild."""
    drawn = bootstrap.multinomial(tally.pairs(), theta, seed, replicates)
    return _of(Level.BATTLE, theta, sandwich.battle(tally, theta), drawn.thetas, drawn.helped, seed)


def by_judge(tally: JudgeTally, theta: Floats, seed: int, replicates: int) -> Uncertain:
    """Raises TooFewJudges."""
    covariance = sandwich.clustered(tally, theta)
    drawn = bootstrap.clustered(tally, theta, seed, replicates)
    return _of(Level.JUDGE, theta, covariance, drawn.thetas, drawn.helped, seed)


def by_sandwich(level: Level, theta: Floats, covariance: Covariance, seed: int, replicates: int) -> Uncertain:
    """Replicates from N(theta, V), where there are no counts to resample."""
    values, vectors = eigh(covariance.matrix)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = np.random.default_rng(seed).standard_normal((replicates, len(theta)))
    return _of(level, theta, covariance, theta + normal @ root.T, 0, seed)


def _of(level: Level, theta: Floats, covariance: Covariance, thetas: Floats, helped: int, seed: int) -> Uncertain:
    lower, upper = bootstrap.percentiles(thetas)
    joint = simultaneous.max_t(theta, covariance, seed)
    best, worst = ranks.bounds(joint.lower, joint.upper)
    return Uncertain(level, covariance, thetas, helped, lower, upper, joint, best, worst)
