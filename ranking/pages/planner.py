"""Votes still needed until neighbours are told apart: an operator's question to the newest board. No numpy.

The fit stores, for each two neighbours, how the variance of their difference falls as votes are added
(`ranking/estimators/planning.py`); confidence, power and the wider intervals of clustered votes are applied here.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist
from typing import Any

from django.http import QueryDict

from ranking.method import PER_LOGIT
from ranking.pages.published import Board

ALLOCATIONS = ("uniform", "drawn", "focused")
CONFIDENCES = ("90", "95", "99")
POWERS = ("50", "80", "90", "95")
LEASTS = ("0", "5", "10", "20", "50")


@dataclass(frozen=True, slots=True)
class Curve:
    """Variances (logits squared) of a difference: `now`, and with `votes` more."""

    now: float
    votes: tuple[float, ...]
    variances: tuple[float, ...]

    @classmethod
    def of(cls, now: float, variances: Sequence[float], wider: float = 1.0, first: float = 100.0) -> "Curve":
        """`variances` at `first` votes, twice as many, four times ... (planning.GRID); all are multiplied by `wider`."""
        votes = tuple(first * 2.0**k for k in range(len(variances)))
        return cls(now * wider, votes, tuple(value * wider for value in variances))

    def votes_for(self, variance: float) -> int | None:
        """The fewest votes after which the variance is at most this; None beyond the curve's end."""
        if self.now <= variance:
            return 0
        after = bisect_left([-value for value in self.variances], -variance)
        if after == len(self.variances):
            return None
        if not after:  # 1 / variance grows about linearly from here
            part = (1 / variance - 1 / self.now) / (1 / self.variances[0] - 1 / self.now)
            return int(self.votes[0] * part) + 1
        high, low = self.variances[after - 1], self.variances[after]
        fewer, more = self.votes[after - 1], self.votes[after]
        return int(exp(log(fewer) + log(high / variance) / log(high / low) * log(more / fewer))) + 1


def needed(difference: float, curve: Curve, confidence: float, power: float, comparisons: int = 1) -> int | None:
    """Votes to add so that a two-sided test at `confidence` tells the models apart with probability `power`.

    `difference` in logits, taken as the true one; `comparisons`: tests made together (Bonferroni, which is Holm's first step).
    None: more than the curve knows, or no difference at all. Raises ValueError for a confidence or power outside (0, 1).
    """
    if not (0 < confidence < 1 and 0 < power < 1):
        raise ValueError("confidence and power are probabilities between 0 and 1")
    normal = NormalDist()
    distance = normal.inv_cdf(1 - (1 - confidence) / (2 * comparisons)) + normal.inv_cdf(power)
    if distance <= 0:
        return 0
    return curve.votes_for((difference / distance) ** 2) if difference else None


@dataclass(frozen=True, slots=True)
class Question:
    """`least`: a difference (points) that is planned for where the estimate is smaller; `pair`: a place, None for all."""

    confidence: str = "95"
    power: str = "80"
    least: str = "0"
    together: bool = False
    pair: int | None = None

    @classmethod
    def of(cls, asked: QueryDict, pairs: int) -> "Question":
        """Anything that makes no sense is taken as the default."""
        pair, usual = asked.get("pair", ""), cls()
        chosen = int(pair) if pair.isascii() and pair.isdecimal() and len(pair) < 6 and int(pair) < pairs else None
        return cls(
            confidence=_one_of(CONFIDENCES, asked.get("confidence"), usual.confidence),
            power=_one_of(POWERS, asked.get("power"), usual.power),
            least=_one_of(LEASTS, asked.get("least"), usual.least),
            together=asked.get("together") == "1",
            pair=chosen,
        )


def _one_of(offered: tuple[str, ...], asked: str | None, usual: str) -> str:
    return asked if asked in offered else usual


@dataclass(frozen=True, slots=True)
class Plan:
    """Two neighbours: their difference and its standard error in points, and the votes needed by allocation (None = too many)."""

    better: int
    worse: int
    points: float
    error: float
    votes: dict[str, int | None]


def plans(board: Board, question: Question) -> list[Plan]:
    """One per pair of ranked neighbours, or the one that was asked for."""
    pairs = board.planning or []
    clusters = board.figures.clusters
    wider = clusters.inflation**2 if clusters else 1.0
    wanted = pairs if question.pair is None else pairs[question.pair : question.pair + 1]
    return [_plan(one, question, wider, len(pairs) if question.together else 1) for one in wanted]


def _plan(stored: dict[str, Any], question: Question, wider: float, comparisons: int) -> Plan:
    difference = max(stored["difference"], int(question.least) / PER_LOGIT)
    confidence, power = int(question.confidence) / 100, int(question.power) / 100
    votes = {}
    for name in ALLOCATIONS:
        if stored[name]:
            curve = Curve.of(stored["now"], stored[name], wider)
            votes[name] = needed(difference, curve, confidence, power, comparisons)
    error = (stored["now"] * wider) ** 0.5 * PER_LOGIT
    return Plan(stored["better"], stored["worse"], stored["difference"] * PER_LOGIT, error, votes)
