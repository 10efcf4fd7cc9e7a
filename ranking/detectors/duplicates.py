"""Floods of one prompt: near-equal prompts are one cluster, and a cluster has only so many votes on a pair of models.

A prompt sent a hundred times, with a number added each time, says a hundred times the same about two models. Prompts with the
same folded words, or whose 64-bit simhashes (arena/moderation/detectors/fingerprints.py) differ in at most NEAR bits, are one
cluster; of its votes on a pair the first `most` count, later ones are flagged with the reason `duplicate`. Changing a word or
adding a number moves a sentence by 5 to 10 bits, unrelated texts lie around 30 apart. A star, not a chain: a prompt joins the
earliest prompt that it is near to, so that a row of small changes cannot tie strangers together. Test:
tests/ranking/detectors/test_duplicates.py.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ranking.detectors.history import Ballots
from ranking.estimators.tally import Ints

NEAR = 10  # bits
MOST = 10_000  # distinct prompts, the latest ones, that a new one is compared with; the exact fingerprint knows no such bound


def clusters(fingerprints: Sequence[str], simhashes: Sequence[int], near: int = NEAR) -> Ints:
    """(N,) codes, equal for near-equal prompts; -1 where there is no fingerprint ("") yet. In the order in which they were sent.

    A simhash of 0 (a text without words) is near to nothing: only the fingerprint counts.
    """
    codes = np.full(len(fingerprints), -1, np.int64)
    known: dict[str, int] = {}
    leaders, leader_codes = np.zeros(MOST, np.uint64), np.zeros(MOST, np.int64)
    count, made = 0, 0
    for at, (exact, simhash) in enumerate(zip(fingerprints, simhashes, strict=True)):
        if not exact:
            continue
        if exact in known:
            codes[at] = known[exact]
            continue
        bits = np.uint64(simhash & (1 << 64) - 1)
        distance = np.bitwise_count(leaders[: min(count, MOST)] ^ bits) if simhash else np.empty(0)
        if len(distance) and distance.min() <= near:
            codes[at] = leader_codes[int(distance.argmin())]
        else:
            codes[at], made = made, made + 1
            if simhash:
                leaders[count % MOST], leader_codes[count % MOST], count = bits, codes[at], count + 1
        known[exact] = int(codes[at])
    return codes


def excess(ballots: Ballots, cluster: Ints, most: int) -> NDArray[np.bool_]:
    """(N,) which ballots come after the first `most` of their cluster on their pair; -1 belongs to no cluster."""
    used: dict[tuple[int, ...], int] = defaultdict(int)
    beyond = np.zeros(len(ballots), bool)
    low, high = np.minimum(ballots.a, ballots.b), np.maximum(ballots.a, ballots.b)
    many = np.bincount(cluster[cluster >= 0], minlength=int(cluster.max(initial=0)) + 1) > most
    flood = np.flatnonzero((cluster >= 0) & many[np.maximum(cluster, 0)])
    for at, *key in zip(flood.tolist(), *(column[flood].tolist() for column in (cluster, low, high)), strict=True):
        used[tuple(key)] += 1
        beyond[at] = used[tuple(key)] > most
    return beyond
