"""Always the same side, always a tie."""

import numpy as np
import pytest
from scipy.stats import binomtest

from ranking.detectors import sides
from ranking.detectors.history import Ballots
from tests.ranking.detectors.voters import World, crowd


@pytest.mark.parametrize(
    ("kind", "name"), [("a", "side_p"), ("b", "side_p"), ("tie", "tie_p"), ("a", "tie_p")], ids=str
)
def test_habits_are_seen_within_fifty_votes(kind: str, name: str) -> None:
    for world, ballots in crowd(kind, 40, votes=50, seed=1):
        found = sides.look_at(world.history, ballots)
        assert getattr(found, name) < 1e-3
    assert (found.ties_z > 0) == (kind == "tie")


def test_honest_voters_pass() -> None:
    p = np.array([(s.side_p, s.tie_p) for w, b in crowd("honest", 600, seed=2) for s in [sides.look_at(w.history, b)]])
    allowed = 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
    assert (p < 0.05).mean(axis=0).max() <= allowed


def test_a_site_whose_readers_favour_the_first_answer_is_no_reason_for_suspicion() -> None:
    world, said = World.of(3), np.repeat([0, 1], [58, 42])
    ballots = Ballots.of(np.zeros(100), np.ones(100), said)
    assert sides.look_at(world.history, ballots, 0.58).side_p > 0.9
    assert sides.look_at(world.history, ballots, 0.40).side_p < 0.001


def test_nothing_to_test() -> None:
    found = sides.look_at(World.of(1).history, Ballots.of([], [], []))
    assert (found.side_p, found.tie_p) == (1.0, 1.0)


@pytest.mark.parametrize(("first", "decided"), [(0, 9), (9, 9), (5, 10), (37, 50), (1, 3)])
def test_the_p_value_is_the_exact_one(first: int, decided: int) -> None:
    said = np.repeat([0, 1], [first, decided - first])
    found = sides.look_at(World.of(3).history, Ballots.of(np.zeros(decided), np.ones(decided), said))
    assert found.side_p == pytest.approx(binomtest(first, decided, 0.5).pvalue)  # symmetric: both definitions agree
