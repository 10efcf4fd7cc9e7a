"""The cap: nobody has more than a stated part of a model's battles, and only concentration counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.detectors.history import Ballots
from ranking.detectors.influence import excess

votes = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 4), st.integers(1, 4)), max_size=120)


@settings(max_examples=60)
@given(votes, st.floats(0.001, 1.0), st.integers(1, 10))
def test_nobody_has_more_than_his_part(rows: list[tuple[int, int, int]], share: float, least: int) -> None:
    group = np.array([row[0] for row in rows], int)
    a = np.array([row[1] for row in rows], int)
    b = (a + np.array([row[2] for row in rows], int)) % 5 if rows else a
    battles = np.array([100.0, 50, 20, 10, 0])
    ballots = Ballots.of(a, b, np.zeros(len(rows), int))
    capped = excess(ballots, group, battles, share, least)
    assert not capped[group < 0].any()
    for g in range(4):
        for m in range(5):
            kept = (group == g) & ~capped & ((a == m) | (b == m))
            assert kept.sum() <= max(least, int(share * battles[m]))
    again = excess(ballots.take(~capped), group[~capped], battles, share, least)
    assert not again.any(), "what was kept is within the part"


def test_the_earliest_are_kept() -> None:
    ballots = Ballots.of([0] * 5, [1, 2, 3, 4, 1], [0] * 5)
    assert excess(ballots, np.zeros(5, int), np.full(5, 100.0), 0.03, 1).tolist() == [False] * 3 + [True] * 2


def test_everybody_has_the_least_and_a_capped_ballot_uses_up_nothing() -> None:
    new = Ballots.of([0] * 5, [1] * 5, [0] * 5)
    assert not excess(new, np.zeros(5, int), np.zeros(2), 0.02, 5).any()
    assert excess(new, np.zeros(5, int), np.zeros(2), 0.02, 4).tolist() == [False] * 4 + [True]
    row = Ballots.of([0, 0, 1], [2, 1, 3], [0] * 3)  # the second is one too many of model 0, so model 1 is still unused
    assert excess(row, np.zeros(3, int), np.zeros(4), 0.02, 1).tolist() == [False, True, False]


def test_a_busy_voter_who_votes_about_everything_keeps_all() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 50, 1000)
    ballots = Ballots.of(a, (a + rng.integers(1, 50, 1000)) % 50, np.zeros(1000))
    assert not excess(ballots, np.zeros(1000, int), np.full(50, 8000.0), 0.02, 50).any()


def test_a_share_is_a_share() -> None:
    with pytest.raises(ValueError, match="share"):
        excess(Ballots.of([0], [1], [0]), np.zeros(1, int), np.ones(2), 0, 1)
