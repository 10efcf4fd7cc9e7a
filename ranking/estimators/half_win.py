"""Half-win and drop: Bradley-Terry (1952) with a tie as half a win for each side, or without the ties.

Half-win is what FastChat, arena-rank and this product's board fit. It is a quasi-likelihood: P(tie) has no place in it, so its
inverse information is no covariance when there are ties, and `Fitted.sandwich` is. "Both bad" counts as a tie. Drop scores
decided battles alone. test_outcomes.py holds both against bradley_terry.fit and statsmodels.
"""

from ranking.estimators.laws import Chance, Exp, Law
from ranking.estimators.tally import Outcome

_EITHER = (Exp(-1.0, ((1, 0, 0, 0), (0, 1, 0, 0))),)
_DECIDED = {Outcome.FIRST: Chance((1, 0, 0), _EITHER), Outcome.SECOND: Chance((0, 1, 0), _EITHER)}

HALF_WIN = Law("half-win", {**_DECIDED, Outcome.TIE: Chance((0.5, 0.5, 0), _EITHER)})
DROP = Law("drop", _DECIDED)
