"""Influence cap: no voter and no address prefix may have more than a stated part in any model's rating.

A group's ballots that involve model m are counted, in the order in which they were cast, until they are max(least, share x
battles of m); the ballots beyond are in excess for m, and a ballot in excess for either of its models is capped. So whatever
the group does, the points of m change by at most that number of battles, its mean score by at most `share` once it has least
/ share battles, and its rating by at most share / mean p(1 - p) logits to first order: 17 points for 2 %, at p(1 - p) = .2.

Capped ballots are flagged with the reason `cap`, not weighted down: the counts stay whole numbers and anybody can rebuild
them from the public log. FastChat's `limit_user_votes` keeps the first n votes of a voter per day, whatever they are about: a
busy honest voter loses votes on models that hardly anybody has met, and a patient attacker loses none. Here only
concentration on one model counts. Test: tests/ranking/detectors/test_influence.py.
"""

import numpy as np
from numpy.typing import NDArray

from ranking.detectors.history import Ballots
from ranking.estimators.tally import Floats, Ints


def excess(ballots: Ballots, group: Ints, battles: Floats, share: float, least: int) -> NDArray[np.bool_]:
    """(N,) which ballots are beyond their group's part; `group`: (N,) codes, negative = none; `battles`: (K,) of each model.

    Ballots that are capped for one model do not use up the part of the other one. Raises ValueError for a share outside 0..1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share of {share}: above 0, at most 1")
    room = np.maximum(least, np.floor(share * np.asarray(battles)))
    used: dict[tuple[int, int], int] = {}
    capped = np.zeros(len(ballots), bool)
    many = np.bincount(group[group >= 0], minlength=int(group.max(initial=0)) + 1) > least  # no other can be in excess
    busy = np.flatnonzero((group >= 0) & many[np.maximum(group, 0)])
    columns = (group[busy].tolist(), ballots.a[busy].tolist(), ballots.b[busy].tolist())
    for at, g, a, b in zip(busy.tolist(), *columns, strict=True):
        if used.get((g, a), 0) >= room[a] or used.get((g, b), 0) >= room[b]:
            capped[at] = True
            continue
        used[g, a] = used.get((g, a), 0) + 1
        used[g, b] = used.get((g, b), 0) + 1
    return capped
