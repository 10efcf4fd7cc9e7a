"""How discriminating prompts are: how often strong models beat weak ones, topic by topic. Pure numpy and scipy, no Django.

Chatbot Arena (arXiv 2403.04132, topics of prompts): the win rate of a strong model over a weak one within a topic shows whether
its prompts tell models apart. Kept: the rate per topic. Differs: groups of strong and weak models instead of one pair, decided
battles only with the ties beside them, Wilson intervals, and shrinkage of thin topics.

Shrinkage: rates ~ Beta(m s, (1 - m) s) over topics. The beta-binomial likelihood of all topics is summed over a grid of (m, s),
m uniform and the spread s^-1/2 uniform (Gelman et al., Bayesian Data Analysis, 5.3), so that intervals hold what is not known
about the law; a topic's estimate is the mean of its posterior, its interval the 2.5 % and 97.5 % points. It takes three topics
with decided battles at least. Shown by tests/ranking/estimators/test_discrimination.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, ndtri

from ranking.estimators.tally import Floats, Ints, Outcome, Tally
from ranking.method import CONFIDENCE

LEAST_TOPICS = 3
MEANS = (np.arange(50) + 0.5) / 50
WEIGHTS = np.geomspace(1.0, 1e4, 25)  # virtual battles; the largest: topics do not differ
POINTS = (np.arange(1000) + 0.5) / 1000  # rates at which a posterior is read
NEGLIGIBLE = 1e-4  # of the grid's largest weight


@dataclass(frozen=True, slots=True)
class Topic:
    """Strong against weak models in one topic: `won` of `decided` battles, `ties` beside them ("both bad" is a tie).

    `rate` with its Wilson interval; `shrunk` with its interval over all topics. None where there is nothing to say.
    """

    won: float
    decided: float
    ties: float
    rate: float | None
    lower: float | None
    upper: float | None
    shrunk: float | None
    shrunk_lower: float | None
    shrunk_upper: float | None


@dataclass(frozen=True, slots=True)
class Topics:
    """By name; `mean` and (geometric mean) `weight` of the law of rates, in virtual battles; None with `why` if not fitted."""

    topics: dict[str, Topic]
    mean: float | None
    weight: float | None
    why: str = ""


def thirds(theta: Floats) -> tuple[Ints, Ints]:
    """Positions of the strongest and of the weakest third (at least one each) of the models that have a rating (not nan)."""
    rated = np.flatnonzero(~np.isnan(theta))
    if len(rated) < 2:
        raise ValueError("strong and weak need two rated models")
    order = rated[np.argsort(-theta[rated], kind="stable")]
    size = max(1, len(order) // 3)
    return np.sort(order[:size]), np.sort(order[-size:])


def by_topic(topics: Mapping[str, Tally], strong: ArrayLike, weak: ArrayLike) -> Topics:
    """`strong`, `weak`: positions of models. Raises ValueError where a model is both."""
    strong, weak = np.asarray(strong, np.int64), np.asarray(weak, np.int64)
    if len(np.intersect1d(strong, weak)):
        raise ValueError("a model is strong and weak")
    counts = {name: _count(tally, strong, weak) for name, tally in topics.items()}
    filled = [(won, decided - won) for won, decided, _ties in counts.values() if decided]
    if len(filled) < LEAST_TOPICS:
        why = f"fewer than {LEAST_TOPICS} topics have decided battles of strong against weak models"
        return Topics({name: _topic(*one, None) for name, one in counts.items()}, None, None, why)
    law = _Law.of(np.array(filled))
    mean = float(law.share @ (law.a / (law.a + law.b)))
    weight = float(np.exp(law.share @ np.log(law.a + law.b)))
    return Topics({name: _topic(*one, law) for name, one in counts.items()}, mean, weight)


def wilson(won: ArrayLike, total: ArrayLike) -> tuple[Floats, Floats]:
    """95 % score interval of a share (Wilson 1927)."""
    won, total = np.asarray(won, float), np.asarray(total, float)
    z = ndtri((1 + CONFIDENCE) / 2)
    centre, grown = (won + z**2 / 2) / (total + z**2), total + z**2
    half = z / grown * np.sqrt(won * (total - won) / total + z**2 / 4)
    return np.asarray(np.maximum(centre - half, 0.0)), np.asarray(np.minimum(centre + half, 1.0))


def _count(tally: Tally, strong: Ints, weak: Ints) -> tuple[float, float, float]:
    """Battles won by the strong side, decided, and tied."""
    above = np.isin(tally.first, strong) & np.isin(tally.second, weak)
    below = np.isin(tally.first, weak) & np.isin(tally.second, strong)
    won = tally.count[(above & (tally.outcome == Outcome.FIRST)) | (below & (tally.outcome == Outcome.SECOND))].sum()
    decided = tally.count[(above | below) & (tally.outcome < Outcome.TIE)].sum()
    return float(won), float(decided), float(tally.count[above | below].sum() - decided)


@dataclass(frozen=True, slots=True, eq=False)
class _Law:
    """Beta laws (a, b) with their posterior `share`: (G,) each, negligible ones left out."""

    a: Floats
    b: Floats
    share: Floats

    @classmethod
    def of(cls, counts: Floats) -> "_Law":
        """(topics, 2) won and lost."""
        a, b = np.outer(MEANS, WEIGHTS).ravel(), np.outer(1 - MEANS, WEIGHTS).ravel()
        logs = (betaln(a + counts[:, :1], b + counts[:, 1:]) - betaln(a, b)).sum(axis=0) - 0.5 * np.log(a + b)
        share = np.exp(logs - logs.max())
        kept = share > NEGLIGIBLE
        return cls(a[kept], b[kept], share[kept] / share[kept].sum())

    def posterior(self, won: float, lost: float) -> tuple[float, float, float]:
        """Mean and the ends of the interval of a topic's rate."""
        a, b = self.a + won, self.b + lost
        mean = float(self.share @ (a / (a + b)))
        logs = np.outer(a - 1, np.log(POINTS)) + np.outer(b - 1, np.log1p(-POINTS)) - betaln(a, b)[:, None]
        reached = np.cumsum(self.share @ np.exp(logs))
        tail = (1 - CONFIDENCE) / 2
        low, high = np.interp([tail, 1 - tail], reached / reached[-1], POINTS)
        return mean, float(low), float(high)


def _topic(won: float, decided: float, ties: float, law: _Law | None) -> Topic:
    rate, lower, upper = None, None, None
    if decided:
        rate = won / decided
        lower, upper = (float(end) for end in wilson(won, decided))
    shrunk = (None, None, None) if law is None else law.posterior(won, decided - won)
    return Topic(won, decided, ties, rate, lower, upper, *shrunk)
