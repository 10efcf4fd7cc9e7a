"""How a vote was cast: too fast to have been read, by a program, by somebody who has just come, in a rush. A score per vote.

| sign | when | weight |
|---|---|---|
| machine | the browser said that it is a program (the web process notes only yes or no) | 1 |
| snap | less than SNAP_S after the answers were ready | 0.5 |
| unread | both answers have more characters than READ_PER_S times the seconds since the first of them was being written | 0.5 |
| rush | the voter's votes of the last RUSH_S seconds, this one included, are more than RUSH | 0.6 |
| fresh | the voter is younger than FRESH_S | 0.3 |

At a score of 1 the vote is flagged (reason `haste`). No single sign but the first does that: a quick reader of two short answers
is no suspect. Nominal rate: none, these are rules, not tests. Test: tests/ranking/detectors/test_haste.py (arena tests S13).
"""

import numpy as np

from ranking.estimators.tally import Bools, Floats, Ints

SNAP_S, READ_PER_S, RUSH_S, RUSH, FRESH_S = 2.0, 80.0, 600.0, 20, 60.0
LIMIT = 1.0


def score(
    machine: Bools, since_ready: Floats, since_begun: Floats, characters: Floats, age: Floats, recent: Ints
) -> Floats:
    """(N,) risk of each vote. Seconds from "ready" and from the first word; characters of both answers (0 = unknown).

    `age`: seconds since the voter's first visit; `recent`: the voter's votes of the last RUSH_S seconds, this one included.
    """
    return np.asarray(
        1.0 * machine
        + 0.5 * (since_ready < SNAP_S)
        + 0.5 * (characters > READ_PER_S * np.maximum(since_begun, 0))
        + 0.6 * (recent > RUSH)
        + 0.3 * (age < FRESH_S)
    )


def recent(voter: Ints, at: Floats) -> Ints:
    """(N,) how many votes the voter of each vote has cast in the last RUSH_S seconds; -1 = nobody known, who has 1.

    `at`: seconds, in ascending order.
    """
    found = np.ones(len(at), np.int64)
    for one in np.unique(voter[voter >= 0]):
        mine = np.flatnonzero(voter == one)
        if len(mine) > RUSH:
            times = at[mine]
            found[mine] = np.arange(1, len(mine) + 1) - np.searchsorted(times, times - RUSH_S, side="left")
    return found
