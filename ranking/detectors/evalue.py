"""A valid e-process per voter from randomised two-sided p-values (Vovk and Wang 2021; Ramdas et al. 2023).

For a vote whose history gives the chances of lower, equal and higher scores, q = P(lower) + U P(equal) with U uniform is
uniform under the history; p = 2 min(q, 1 - q) is a two-sided p-value without the discreteness that blinds Fisher's rule. The
calibrator e(p) = 1 / (2 sqrt(p)) has the mean 1 under the history (its integral over 0..1 is 1), so the running product is a
nonnegative martingale and by Ville's inequality an honest voter ever reaches 1/alpha with a probability of at most alpha,
however often one looks.

U comes from a key per vote, so that every run gives the same value and no voter can know his own. FastChat's `outlier_detect`
multiplies 1/(2p), whose integral diverges, stops at 1/alpha, drops ties and depends on the order of the models' names: it
flagged 7.5 % of honest voters at a nominal 5 %. Test: tests/ranking/detectors/test_evalue.py.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from ranking.detectors.history import A_WON, B_WON, TIED, Ballots, History
from ranking.estimators.tally import Floats

TINY = 1e-12


def uniforms(key: bytes, votes: Sequence[str]) -> Floats:
    """(N,) numbers in (0, 1), decided by `key` and each vote's name."""
    digests = [hashlib.blake2b(vote.encode(), digest_size=8, key=key[:64]).digest() for vote in votes]
    return np.array([(int.from_bytes(digest, "big") + 0.5) / 2**64 for digest in digests])


def p_values(history: History, ballots: Ballots, uniform: Floats) -> Floats:
    """(N,) exactly uniform when the ballots come from the history; `uniform`: (N,) in (0, 1), independent of them."""
    chance = history.of_each(ballots)
    outcome = ballots.outcome
    below = np.select([outcome == A_WON, outcome == TIED], [chance[:, TIED] + chance[:, B_WON], chance[:, B_WON]], 0.0)
    q = below + uniform * chance[np.arange(len(outcome)), outcome]
    return np.asarray(np.clip(2 * np.minimum(q, 1 - q), TINY, 1.0))


def process(p: Floats) -> Floats:
    """(N,) the logarithm of the e-process after each vote."""
    return np.asarray(np.cumsum(-np.log(2 * np.sqrt(p))))


def peak(p: Floats) -> float:
    """log10 of the highest value that the e-process has had; it begins at 1."""
    return float(process(p).max(initial=0.0) / np.log(10))


def flags(p: Floats, alpha: float = 0.05) -> bool:
    """Whether the e-process ever reaches 1 / alpha."""
    return peak(p) >= -np.log10(alpha)
