"""Rao and Kupper (1967), "Ties in paired-comparison experiments", JASA 62: a tie is a difference below a threshold.

P(1 beats 2) = pi1 / (pi1 + k pi2), P(tie) = (k^2 - 1) pi1 pi2 / ((pi1 + k pi2)(pi2 + k pi1)), with pi = exp(theta) and
k = exp(phi) > 1: an ordered logit, P(1 beats 2) = sigmoid(theta1 - theta2 - phi), concave in (theta, phi).
Kept whole; "both bad" counts as a tie. test_outcomes.py holds it against statsmodels' ordered logit.
"""

from ranking.estimators.laws import Chance, Exp, Law
from ranking.estimators.tally import Outcome

_FIRST = Exp(-1.0, ((1, 0, 0, 0), (0, 1, 1, 0)))
_SECOND = Exp(-1.0, ((0, 1, 0, 0), (1, 0, 1, 0)))

RAO_KUPPER = Law(
    "Rao-Kupper",
    {
        Outcome.FIRST: Chance((1, 0, 0), (_FIRST,)),
        Outcome.SECOND: Chance((0, 1, 0), (_SECOND,)),
        Outcome.TIE: Chance((1, 1, 0), (_FIRST, _SECOND), gap=2.0),
    },
    tie_start=0.5,
)
