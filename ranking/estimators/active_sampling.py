"""Which pair to ask about next: Chatbot Arena (arXiv 2403.04132) section 5, equation 9. Pure numpy, no Django.

Kept: a pair is drawn in proportion to how much one more battle would narrow its interval,

    P(a) ~ sqrt(S_aa / n_a) - sqrt(S_aa / (n_a + 1)),

S_aa being the variance of the pair's score H (win 1, tie 1/2, loss 0) and n_a its battles; and every probability stays above a
floor, P(a) > eps > 0, because equations 4 and 7 divide by it.

Different: S_aa and n_a include one virtual battle, half won and half lost. Without it a pair that never met has no finite
weight, and one whose few battles ended alike would have the variance 0 and never be asked again. The floor is a mixture with the
uniform draw, so it is exact: P(a) = (1 - eps) w_a / sum(w) + eps / A with A pairs. The paper leaves its form open.

What it saves (tests/ranking/estimators/test_active_sampling.py): 1.4 to 1.5 times the battles at an average width of .2 of the
win matrix against draws that follow the exposure of the paper's own models (figure 10), which is the paper's 54 %. Against draws
that are uniform over pairs, next to nothing: the widths are smallest for n ~ S^(1/3), and S hardly varies between close models.
"""

import numpy as np

from ranking.estimators.tally import Floats, Ints, Pairs

SAMPLER = "eq9-1"


def every_pair(size: int) -> tuple[Ints, Ints]:
    """Positions first < second of the A = K (K - 1) / 2 pairs, in the order that this module gives weights in."""
    first, second = np.triu_indices(size, 1)
    return first.astype(np.int64), second.astype(np.int64)


def weights(pairs: Pairs) -> Floats:
    """(A,) by how much one more battle narrows the interval of each pair of K models, met or not; all positive."""
    first, second = every_pair(pairs.size)
    place = np.full((pairs.size, pairs.size), -1)
    place[first, second] = np.arange(len(first))
    battles, mean, square = np.ones(len(first)), np.full(len(first), 0.5), np.full(len(first), 0.5)
    at = place[pairs.first, pairs.second]
    battles[at] += pairs.battles
    mean[at] += pairs.points
    square[at] += pairs.won + (pairs.tied + pairs.both_bad) / 4
    variance = square / battles - (mean / battles) ** 2
    return np.asarray(np.sqrt(variance / battles) - np.sqrt(variance / (battles + 1)))


def probabilities(weight: Floats, floor: float) -> Floats:
    """(A,) weights -> probabilities that sum to one, none below floor / A. Raises ValueError for a floor outside 0..1."""
    if not 0 <= floor <= 1:
        raise ValueError(f"a floor of {floor}: it is a share, from 0 to 1")
    return np.asarray((1 - floor) * weight / weight.sum() + floor / len(weight))
