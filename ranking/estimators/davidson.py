"""Davidson (1970), "On extending the Bradley-Terry model to accommodate ties", JASA 65: ties as likely as their models are equal.

P(1 beats 2) : P(tie) : P(2 beats 1) = pi1 : nu sqrt(pi1 pi2) : pi2, with pi = exp(theta) and nu = exp(phi): the odds of a win
over a loss do not depend on ties, and the equations of theta are those of half-win. With nu = 2 equals tie half of the time.
Kept whole; "both bad" counts as a tie. test_outcomes.py holds it against a Poisson regression in statsmodels.
"""

from ranking.estimators.laws import Chance, Exp, Law
from ranking.estimators.tally import Outcome

_ANY = (Exp(-1.0, ((1, 0, 0, 0), (0, 1, 0, 0), (0.5, 0.5, 1, 0))),)

DAVIDSON = Law(
    "Davidson",
    {
        Outcome.FIRST: Chance((1, 0, 0), _ANY),
        Outcome.SECOND: Chance((0, 1, 0), _ANY),
        Outcome.TIE: Chance((0.5, 0.5, 1), _ANY),
    },
    tie_start=-0.7,
)
