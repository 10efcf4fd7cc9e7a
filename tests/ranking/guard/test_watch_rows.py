"""What the watch reads: which votes, what is out already, and how often the first answer wins."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from arena.clock import now
from ranking import counts
from ranking.detectors.history import A_WON, B_WON, Ballots, History
from ranking.detectors.watching import Finding, Rules, Votes
from ranking.guard import opinions, watch_rows
from ranking.guard.watch_rows import Seen
from tests.ranking import rows


def look() -> Seen:
    return watch_rows.look(now() + timedelta(seconds=1))


@pytest.mark.django_db
def test_the_newest_ranked_votes_are_read_with_what_is_out_already(settings: Any) -> None:
    a, b = rows.contestants(2)
    rows.cast(a, b, "a", ranked=False)
    counted, flagged, back, void = (rows.cast(a, b, "a") for _ in range(4))
    for cast, kinds in ((flagged, ["unflag", "flag"]), (back, ["flag", "unflag"]), (void, ["void"])):
        for kind in kinds:
            rows.follow(cast, kind)
    seen = look()
    assert [row.vote_id for row in seen.rows] == [one.vote_id for one in (counted, flagged, back, void)]
    assert seen.votes.counted.tolist() == [True, False, True, False]
    settings.WATCH_ROWS = 2
    assert [row.vote_id for row in look().rows] == [back.vote_id, void.vote_id]


@pytest.mark.django_db
def test_the_share_of_first_answers_is_told_from_a_thousand_votes_on_whichever_model_is_first() -> None:
    low, high = sorted(rows.contestants(2), key=lambda one: one.id)
    rows.ballot(high, low, wins=899, losses=100, ties=50)
    counts.absorb()
    assert look().first_share == 0.5
    rows.ballot(low, high, wins=1)
    counts.absorb()
    assert look().first_share == 0.9


def test_opinions_compare_nobody_with_himself() -> None:
    """Two thirds of what is known of the pairs is the voter's own; by it nothing would be odd."""
    past = History.of_ballots(2, Ballots.of([0] * 300, [1] * 300, [A_WON] * 240 + [B_WON] * 60))
    ballots, n = Ballots.of([0] * 600, [1] * 600, [B_WON] * 600), 600
    nobody, yes = np.full(n, -1), np.ones(n, bool)
    votes = Votes(ballots, np.zeros(n, int), nobody, nobody, np.zeros(n), np.zeros(n), yes, yes)
    said = [SimpleNamespace(vote_id=uuid4(), judge="j") for _ in range(n)]
    seen = Seen(said, votes, [], past.plus(ballots), 0.5)  # type: ignore[arg-type]
    found = opinions.of(seen, Finding("attackers", np.arange(n), "voter", 0), Rules(known=300))
    assert found.e_peak is not None and found.e_peak > 40
    assert opinions.of(seen, Finding("swarm", np.arange(n), "window", 1), Rules(known=300)) == (None, None)
