"""Uncertainty of the ranked group at one level: battles independent, or judges independent and their battles not.

Standard errors come from the sandwich, the pointwise ends from the bootstrap's percentiles, the joint ends from max-t over the
sandwich; ranks from the joint ends (Chatbot Arena, section 5, equation 1). By judge the sandwich is the bias-reduced one with
degrees of freedom (`few_judges`), and where a model's error rests on fewer than JUDGES_RESAMPLED effective judges the ends are
Student's and the replicates drawn from the sandwich, because resamples of few judges are no picture of them. A style-controlled
board has no counts to resample: its replicates are draws from the normal law of the sandwich. Where the votes show no spread at
all (nothing but ties), a sandwich would be sure of everything: the covariance is the inverse information then, which no law of
ties exceeds.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh

from ranking.board.board_format import Ends, Level
from ranking.board.reasons import Interval
from ranking.estimators import bootstrap, few_judges, ranks, sandwich, simultaneous
from ranking.estimators.bradley_terry import PER_LOGIT, information, pseudo_inverse, to_rating
from ranking.estimators.judges import JudgeTally
from ranking.estimators.sandwich import Covariance
from ranking.estimators.tally import Floats, Ints, Tally
from ranking.method import JUDGES_RESAMPLED

QUANTILES = np.linspace(0.0, 1.0, 21)
NOTHING = 1e-9  # share of a variance that is rounding


@dataclass(frozen=True, slots=True, eq=False)
class Uncertain:
    """`thetas`: (B, K) replicates in the mean-zero gauge; `helped`: those that had no estimate of their own; (K,) the others."""

    level: Level
    interval: Interval
    covariance: Covariance
    thetas: Floats
    helped: int
    lower: Floats
    upper: Floats
    joint: simultaneous.Intervals
    rank: Ints
    rank_worst: Ints

    @property
    def variance(self) -> float:
        """Sum of the models' variances."""
        return float(np.trace(self.covariance.matrix))

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
    covariance, pairs = sandwich.battle(tally, theta), tally.pairs()
    bound = pseudo_inverse(information(pairs, theta))
    if not np.trace(covariance.matrix) > NOTHING * np.trace(bound):
        return by_sandwich(Level.BATTLE, theta, Covariance(bound), seed, replicates, Interval.BOUND)
    drawn = bootstrap.multinomial(pairs, theta, seed, replicates)
    return _of(Level.BATTLE, Interval.PERCENTILE, theta, covariance, drawn.thetas, drawn.helped, seed)


def by_judge(tally: JudgeTally, theta: Floats, seed: int, replicates: int) -> Uncertain:
    """Raises TooFewJudges."""
    covariance = few_judges.clustered(tally, theta)
    if covariance.effective is not None and covariance.effective.min() < JUDGES_RESAMPLED:
        made = by_sandwich(Level.JUDGE, theta, covariance, seed, replicates, Interval.STUDENT)
        ends = simultaneous.pointwise(theta, covariance)
        return replace(made, lower=ends.lower, upper=ends.upper)
    drawn = bootstrap.clustered(tally, theta, seed, replicates)
    thetas = few_judges.replicates(tally, theta, covariance, drawn.thetas)
    return _of(Level.JUDGE, Interval.PERCENTILE, theta, covariance, thetas, drawn.helped, seed)


def by_sandwich(
    level: Level, theta: Floats, covariance: Covariance, seed: int, replicates: int, interval: Interval = Interval.LAW
) -> Uncertain:
    """Replicates from N(theta, V), stretched to Student's ends where there are degrees of freedom."""
    values, vectors = eigh(covariance.matrix)
    root = few_judges.widening(covariance) * (vectors * np.sqrt(np.maximum(values, 0.0))).T
    normal = np.random.default_rng(seed).standard_normal((replicates, len(theta)))
    return _of(level, interval, theta, covariance, theta + normal @ root, 0, seed)


def _of(
    level: Level, interval: Interval, theta: Floats, covariance: Covariance, thetas: Floats, helped: int, seed: int
) -> Uncertain:
    lower, upper = bootstrap.percentiles(thetas)
    joint = simultaneous.max_t(theta, covariance, seed)
    best, worst = ranks.bounds(joint.lower, joint.upper)
    return Uncertain(level, interval, covariance, thetas, helped, lower, upper, joint, best, worst)
