"""Drop-k certificate: how few votes, left out, would change an order of the board. No Django.

Source: Huang, Shen, Wei, Broderick, "Dropping just a handful of preferences can change top large language model rankings",
arXiv 2508.11847. Leaving out one battle of i against j with y points moves theta by about -H^-1 (y - p)(e_i - e_j); the k battles
that close a gap most are found by sorting. Kept: the one-step influence and the exact refit that verifies it. Differs: it
works on counts (battles of a cell are alike), reselects at the refitted estimate until the choice settles, and bisects k.
A result is a verified upper bound: so many votes do suffice; that fewer cannot is shown on tiny boards alone
(tests/ranking/estimators/test_certificate.py, by trying every choice). "Not found up to `limit`" is said, never taken as proof.
"""

from dataclasses import dataclass, replace

import numpy as np

from ranking.estimators import bradley_terry
from ranking.estimators.bradley_terry import NotConverged, chances, information, pseudo_inverse
from ranking.estimators.tally import Floats, Ints, Pairs

LIMIT = 0.1  # of all battles
RESELECTIONS = 6
EQUAL = 1e-8  # logits: nearer ratings are equal, which is no flip
CHALLENGERS = 5  # models tried against the first one: by one-step votes, of twice as many nearest in standard errors
_POINTS = np.array([1.0, 0.0, 0.5, 0.5])  # won, lost, tied, both bad
_COLUMNS = ("won", "lost", "tied", "both_bad")


@dataclass(frozen=True, slots=True)
class Removed:
    """`count` battles of `first` against `second` (positions) that ended in `outcome`: won, lost, tied, both_bad."""

    first: int
    second: int
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """Leaving out `removed`, `votes` in all and `share` of the battles, puts `lower` above `upper` in an exact refit.

    None: not found up to `limit` votes. `gap`: theta[upper] - theta[lower] with all votes; `after`: without the removed ones.
    """

    upper: int
    lower: int
    gap: float
    limit: int
    votes: int | None = None
    share: float | None = None
    after: float | None = None
    removed: tuple[Removed, ...] = ()


def top(pairs: Pairs, theta: Floats, limit: float = LIMIT) -> Certificate | None:
    """The fewest votes found whose removal lets another model pass the first one; None for fewer than two models.

    `theta`: the estimate of `pairs`. Where nothing is found, the certificate of the nearest challenger says so.
    """
    if pairs.size < 2:
        return None
    first = int(np.argmax(theta))
    bread = pseudo_inverse(information(pairs, theta))
    own = bread.diagonal()
    distance = (theta[first] - theta) / np.sqrt(own + own[first] - 2 * bread[first] + (np.arange(pairs.size) == first))
    distance[first] = np.inf
    near = [int(m) for m in np.argsort(distance, kind="stable")[: min(2 * CHALLENGERS, pairs.size - 1)]]
    steps = sorted((_one_step(pairs, theta, bread, first, m), m) for m in near)
    best: Certificate | None = None
    for _votes, challenger in steps[:CHALLENGERS]:
        found = between(pairs, theta, first, challenger, limit, best.votes - 1 if best and best.votes else None)
        if best is None or found.votes is not None:
            best = found
    return best


def between(
    pairs: Pairs, theta: Floats, upper: int, lower: int, limit: float = LIMIT, most: int | None = None
) -> Certificate:
    """The same for two given models, theta[upper] >= theta[lower]; `most`: only fewer votes than this are of interest."""
    total = round(float(pairs.battles.sum()))
    allowed, gap = int(limit * total), float(theta[upper] - theta[lower])
    least = _one_step(pairs, theta, pseudo_inverse(information(pairs, theta)), upper, lower)
    found = _fewest(pairs, theta, upper, lower, least, allowed if most is None else min(most, allowed))
    if found is None:
        return Certificate(upper, lower, gap, allowed)
    taken, after = found
    first, second, votes = pairs.first, pairs.second, int(taken.sum())
    removed = tuple(
        Removed(int(first[p]), int(second[p]), _COLUMNS[o], int(taken[o, p])) for o, p in np.argwhere(taken > 0)
    )
    return Certificate(upper, lower, gap, allowed, votes, votes / total, after, removed)


def _fewest(
    pairs: Pairs, theta: Floats, upper: int, lower: int, least: float, most: int
) -> tuple[Floats, float] | None:
    """The least verified k: from the one-step figure in growing strides down while it works (or up), then by halves."""
    low, high, stride, best = 0, most + 1, 1, None
    k = int(min(max(least, 1), most))
    while high - low > 1:
        found = _try(pairs, theta, upper, lower, k)
        low, high, best = (low, k, found) if found is not None else (k, high, best)
        if best is None or low == 0:  # one end is still open
            k = min(k + stride, most) if best is None else max(k - stride, 1)
            stride *= 2
        else:
            k = (low + high) // 2
    return best


def _influence(pairs: Pairs, theta: Floats, bread: Floats, upper: int, lower: int) -> Floats:
    """(4, P) by how much leaving out one battle of each kind closes theta[upper] - theta[lower], to first order."""
    lever = bread[upper] - bread[lower]
    chance, _ = chances(pairs.first, pairs.second, theta)
    return np.asarray((_POINTS[:, None] - chance) * (lever[pairs.first] - lever[pairs.second]))


def _counts(pairs: Pairs) -> Floats:
    return np.stack([getattr(pairs, name) for name in _COLUMNS])


def _one_step(pairs: Pairs, theta: Floats, bread: Floats, upper: int, lower: int) -> float:
    """Votes that close the gap to first order; inf where all that help do not."""
    closes, counts = _influence(pairs, theta, bread, upper, lower).ravel(), _counts(pairs).ravel()
    order = np.argsort(-closes, kind="stable")
    order = order[closes[order] > 0]
    closed, used = np.cumsum(closes[order] * counts[order]), np.cumsum(counts[order])
    gap = theta[upper] - theta[lower]
    place = int(np.searchsorted(closed, gap, side="right"))
    if place == len(order):
        return float("inf")
    rest = gap - (closed[place - 1] if place else 0.0)
    return float((used[place - 1] if place else 0.0) + np.floor(rest / closes[order[place]]) + 1)


def _choose(closes: Floats, counts: Floats, k: int) -> Floats:
    """The k battles that close the gap most, as (4, P) counts."""
    taken, left, flat, by = np.zeros(counts.size), k, counts.ravel(), closes.ravel()
    for place in np.argsort(-by, kind="stable"):
        if left <= 0 or by[place] <= 0:
            break
        taken[place] = min(left, np.floor(flat[place]))
        left -= int(taken[place])
    return taken.reshape(counts.shape)


def _try(pairs: Pairs, theta: Floats, upper: int, lower: int, k: int) -> tuple[Floats, float] | None:
    """A choice of k votes that an exact refit confirms, and the gap after it; None where none was found."""
    counts, seen = _counts(pairs), set()
    at, left = theta, pairs
    for _round in range(RESELECTIONS):
        try:
            closes = _influence(pairs, at, pseudo_inverse(information(left, at)), upper, lower)
            taken = _choose(closes, counts, k)
            if (key := taken.tobytes()) in seen or taken.sum() < k:
                return None
            seen.add(key)
            left = _without(pairs, counts - taken)
            at = bradley_terry.fit(left, start=at).theta
        except NotConverged:  # these votes hold the board together: leaving them out is no flip
            return None
        if at[upper] < at[lower] - EQUAL:
            return taken, float(at[upper] - at[lower])
    return None


def _without(pairs: Pairs, counts: Floats) -> Pairs:
    """Pairs with these counts; pairs that have none left did not meet."""
    met: Ints = np.flatnonzero(counts.sum(axis=0))
    columns = dict(zip(_COLUMNS, counts[:, met], strict=True))
    return replace(pairs, first=pairs.first[met], second=pairs.second[met], **columns)
