"""Grounded Rao-Kupper of "Prompt-to-Leaderboard" (arXiv 2502.14855): "both bad" is an outcome of its own and sets a zero.

P(1 beats 2) = pi1 / (pi1 + k pi2 + 1), P(both bad) = 1 / (1 + pi1 + pi2), a tie is the rest:
(k - 1) pi1 pi2 / (1 + pi1 + pi2) (1 / (pi1 + k pi2 + 1) + 1 / (pi2 + k pi1 + 1)), with pi = exp(theta), k = exp(phi) > 1.
A model with theta = 0 is as good as the bar that both answers of a "both bad" miss: theta has an absolute meaning. Kept: the law;
what differs: theta is one number per model (there: a network's output per prompt). The likelihood need not be concave.
test_outcomes.py holds it against a general optimiser.
"""

from ranking.estimators.laws import Chance, Exp, Law
from ranking.estimators.tally import Outcome

_LOG2 = 0.6931471805599453
_FIRST = Exp(-1.0, ((1, 0, 0, 0), (0, 1, 1, 0), (0, 0, 0, 0)))
_SECOND = Exp(-1.0, ((0, 1, 0, 0), (1, 0, 1, 0), (0, 0, 0, 0)))
_GOOD = Exp(-1.0, ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0)))
_SUM = Exp(1.0, ((1, 0, 0, 0), (0, 1, 0, 0), (1, 0, 1, 0), (0, 1, 1, 0), (0, 0, 0, _LOG2)))

GROUNDED_RAO_KUPPER = Law(
    "grounded Rao-Kupper",
    {
        Outcome.FIRST: Chance((1, 0, 0), (_FIRST,)),
        Outcome.SECOND: Chance((0, 1, 0), (_SECOND,)),
        Outcome.TIE: Chance((1, 1, 0), (_GOOD, _FIRST, _SECOND, _SUM), gap=1.0),
        Outcome.BOTH_BAD: Chance((0, 0, 0), (_GOOD,)),
    },
    tie_start=0.5,
    absolute=True,
)
