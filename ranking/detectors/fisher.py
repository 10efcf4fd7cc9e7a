"""The paper's rule for anomalous users: Chatbot Arena (arXiv 2403.04132), section 5.1 and appendix C.

Kept as it stands: p_i = (1 + #{h in H_A' : h >= H'_i}) / (|H_A'| + 1), H being the past scores of the same pair;
M_j = -2 sum_{i <= j} ln p_i; at 5 random j in 1..100, flag when M_j >= chi2_{2j, 1 - alpha/5}.

Weak, and therefore not what this site flags by: a score has three levels, so p is far from uniform (the commonest outcome has p
near 1) and M_j hardly ever reaches its bound; only one tail is tested, and which one depends on the order in which a pair's
models are listed. Different: the random looks come from a seed (an integer per visitor), so that a run can be repeated.

Test: tests/ranking/detectors/test_fisher.py (p by hand; honest voters; how little it sees).
"""

import numpy as np
from scipy.special import chdtri

from ranking.detectors.history import SCORE, Ballots, History
from ranking.estimators.tally import Floats

LOOKS, MOST = 5, 100


def p_values(history: History, ballots: Ballots) -> Floats:
    """(N,): the share of past scores of the lower-listed model, and of this one, that are at least as high as this one."""
    swapped = ballots.a > ballots.b
    first, second = np.where(swapped, ballots.b, ballots.a), np.where(swapped, ballots.a, ballots.b)
    score = SCORE[ballots.outcome]
    score = np.where(swapped, 1 - score, score)
    past = history.ended[first, second]
    as_high = (past * (SCORE[None, :] >= score[:, None])).sum(axis=1)
    return np.asarray((1 + as_high) / (past.sum(axis=1) + 1))


def flags(p: Floats, seed: int, alpha: float = 0.1) -> bool:
    """Whether one of the five looks reaches its bound; looks beyond the votes that there are see nothing."""
    looks = np.random.default_rng(seed).integers(1, MOST + 1, LOOKS)
    looks = looks[looks <= len(p)]
    fisher = -2 * np.cumsum(np.log(p))
    return bool((fisher[looks - 1] >= chdtri(2 * looks, alpha / LOOKS)).any())
