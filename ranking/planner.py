"""Votes still needed until two neighbours are told apart: an operator's question to the newest board. No numpy.

The fit stores, for each pair of neighbours, how the variance of their difference falls as votes are added
(`ranking/estimators/planning.py`); the question's confidence and power are applied here.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist
from typing import Any

MOST_VOTES = 10**8


@dataclass(frozen=True, slots=True)
class Curve:
    """Variances (logits squared) of a difference: `now`, and with `votes` more."""

    now: float
    votes: tuple[float, ...]
    variances: tuple[float, ...]

    @classmethod
    def of(cls, now: float, variances: Sequence[float], first: float = 100.0) -> "Curve":
        """`variances` at `first` votes, twice as many, four times, ... (planning.GRID)."""
        return cls(float(now), tuple(first * 2.0**k for k in range(len(variances))), tuple(map(float, variances)))

    def votes_for(self, variance: float) -> int | None:
        """The fewest votes after which the variance is at most this; None beyond the curve's end."""
        if self.now <= variance:
            return 0
        after = bisect_left([-value for value in self.variances], -variance)
        if after == len(self.variances):
            return None
        low_votes, high = (self.votes[after - 1], self.variances[after - 1]) if after else (0.0, self.now)
        low, high_votes = self.variances[after], self.votes[after]
        if not low_votes:  # 1 / variance grows about linearly from here
            part = (1 / variance - 1 / high) / (1 / low - 1 / high)
            return int(high_votes * part) + 1
        part = log(high / variance) / log(high / low)
        return int(exp(log(low_votes) + part * log(high_votes / low_votes))) + 1


def needed(difference: float, curve: Curve, confidence: float, power: float, comparisons: int = 1) -> int | None:
    """Votes to add so that a two-sided test at `confidence` tells the models apart with probability `power`.

    `difference` in logits, taken as the true one; `comparisons`: tests made together (Bonferroni, which Holm's first step is).
    None: more than the curve knows, or no difference at all. Raises ValueError for a confidence or power outside (0, 1).
    """
    if not (0 < confidence < 1 and 0 < power < 1):
        raise ValueError("confidence and power are probabilities between 0 and 1")
    normal = NormalDist()
    distance = normal.inv_cdf(1 - (1 - confidence) / (2 * comparisons)) + normal.inv_cdf(power)
    if difference == 0:
        return None
    if distance <= 0:
        return 0
    return curve.votes_for((difference / distance) ** 2)


def neighbours(stored: Sequence[dict[str, Any]], how: str) -> list[tuple[dict[str, Any], Curve | None]]:
    """Each stored pair with its curve under an allocation: uniform, drawn or focused; None where it is not known."""
    return [(one, Curve.of(one["now"], one[how]) if one.get(how) else None) for one in stored]
