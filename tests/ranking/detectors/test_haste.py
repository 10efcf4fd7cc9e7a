"""S13: velocity, snap votes, votes on what cannot have been read, fresh voters, programs."""

import numpy as np
import pytest

from ranking.detectors import haste

CALM = {"machine": False, "since_ready": 20, "since_begun": 40, "characters": 1500, "age": 9000, "recent": 1}


@pytest.mark.parametrize(
    ("signs", "flagged"),
    [
        ({}, False),
        ({"machine": True}, True),
        ({"since_ready": 1.9}, False),
        ({"since_ready": 1.9, "since_begun": 4}, True),  # 1,500 characters in 4 seconds
        ({"since_ready": 1.9, "since_begun": 4, "characters": 200}, False),  # two short answers can be read
        ({"since_begun": 4}, False),
        ({"recent": 21}, False),
        ({"recent": 21, "since_ready": 1}, True),
        ({"recent": 20, "since_ready": 1}, False),
        ({"recent": 21, "age": 30}, False),
        ({"age": 30, "since_ready": 1}, False),
        ({"age": 30, "recent": 21, "since_begun": 3}, True),
        ({"characters": 0, "since_ready": 1}, False),  # lengths are not known yet
    ],
)
def test_what_is_flagged(signs: dict[str, float], flagged: bool) -> None:
    columns = {name: np.array([value]) for name, value in (CALM | signs).items()}
    assert (haste.score(**columns)[0] >= haste.LIMIT) == flagged


def test_votes_of_the_last_ten_minutes_are_counted_per_voter() -> None:
    at = np.arange(0, 3000, 20.0)
    voter = np.where(np.arange(150) % 2, 5, -1)
    found = haste.recent(voter, at)
    assert found[voter == -1].max() == 1
    mine = found[voter == 5]
    assert mine[:3].tolist() == [1, 2, 3] and mine[-1] == 16  # one in 40 s; the one 600 s ago still counts
    assert haste.recent(np.zeros(20, int), np.arange(20.0)).max() == 1, (
        "nobody with so few votes can have been in a rush"
    )
