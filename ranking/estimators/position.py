"""The first position: how much being shown as A is worth, fitted with the ratings under any law of outcomes.

logit of the model shown as A + gamma (Davidson and Beaver 1977, "On extending the Bradley-Terry model to incorporate within-pair
order effects", Biometrics 33, in its multiplicative form). Under half-win gamma is the log odds that A beats an equal.
test_position.py holds it against statsmodels and against the home advantage of the 1987 baseball season.
"""

from dataclasses import dataclass

import numpy as np

from ranking.estimators import outcomes
from ranking.estimators.half_win import HALF_WIN
from ranking.estimators.laws import Law
from ranking.estimators.outcomes import Fitted
from ranking.estimators.tally import Outcome, Tally


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """`logit` and its standard error `se` (sandwich); `first_won`: share of decided battles won by A, None without any; `fit`."""

    logit: float
    se: float
    first_won: float | None
    decided: float
    fit: Fitted


def estimate(tally: Tally, law: Law = HALF_WIN, reweighted: bool = False) -> Position:
    """Raises outcomes.NoEstimate, also where every pair was always shown in one order and the models decide it."""
    fitted = outcomes.fit(law, tally, position=True, reweighted=reweighted)
    if fitted.position is None:
        raise AssertionError("fitted without a position")
    won = (tally.outcome == Outcome.FIRST) == tally.first_was_a
    decided = tally.outcome < Outcome.TIE
    total = float(tally.count[decided].sum())
    share = float(tally.count[decided & won].sum()) / total if total else None
    return Position(fitted.position, float(fitted.deviations[tally.size]), share, total, fitted)


def share_first(tally: Tally) -> np.ndarray:
    """(K,) share of its battles in which a model was shown as A; nan for a model without battles."""
    shown = np.bincount(tally.first, tally.count * tally.first_was_a, tally.size)
    shown += np.bincount(tally.second, tally.count * ~tally.first_was_a, tally.size)
    played = np.bincount(tally.first, tally.count, tally.size) + np.bincount(tally.second, tally.count, tally.size)
    return np.divide(shown, played, out=np.full(tally.size, np.nan), where=played > 0)
