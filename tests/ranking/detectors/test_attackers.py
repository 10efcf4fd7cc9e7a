"""The mixture of ways to vote badly: a martingale under the null, and each way is found and named."""

import numpy as np
import pytest

from ranking.detectors import attackers
from ranking.detectors.history import Ballots, History
from tests.ranking.detectors.voters import SIZE, World


def test_the_weights_sum_to_one() -> None:
    assert sum(attackers.PER_MODEL.values()) + sum(attackers.GENERAL.values()) == pytest.approx(1)
    assert set(attackers.GENERAL) == set(attackers.RULES)


@pytest.mark.parametrize("pair", [(0, 1), (3, 17)])
def test_every_way_has_the_mean_one_under_the_history(pair: tuple[int, int]) -> None:
    history = World.of(1).history
    each = Ballots.of([pair[0]] * 3, [pair[1]] * 3, [0, 1, 2])
    chance = history.of_each(each)[0]
    gains, names = attackers._log_ratios(history, each)
    assert np.exp(gains) @ chance == pytest.approx(np.ones(len(names)))
    assert len(names) == len(attackers.RULES) + 4 * SIZE


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("only", "promote"),
        ("rig", "promote"),
        ("rig+random", "rig"),
        ("random", "random"),
        ("coin", "coin"),
        ("inverted", "inverted"),
        ("anti-strong", "anti-strong"),
        ("a", "always a"),
        ("b", "always b"),
        ("tie", "always tie"),
    ],
)
def test_each_way_is_found_and_named(kind: str, way: str) -> None:
    named = []
    for seed in range(8):
        world = World.of(seed)
        found = attackers.suspect(world.history, world.voter(kind, 300))
        assert found.flags(0.01)
        named.append(found.way)
        assert found.model == (int(world.theta.argmin()) if way in ("promote", "rig") else -1) or found.way != way
    assert named.count(way) >= 6


def test_the_peak_counts_however_the_voter_goes_on() -> None:
    """Whoever behaves after having rigged stays seen: the bound holds for the whole path."""
    world = World.of(2)
    bad, good = world.voter("only", 40), world.voter("honest", 400)
    both = Ballots.of(*(np.concatenate([getattr(one, name) for one in (bad, good)]) for name in ("a", "b", "outcome")))
    assert attackers.suspect(world.history, both).peak >= attackers.suspect(world.history, bad).peak > 2


def test_no_votes_no_suspicion() -> None:
    assert attackers.suspect(World.of(1).history, Ballots.of([], [], [])).peak == 0


def test_models_may_be_numbered_anyhow() -> None:
    world = World.of(4)
    ballots, order = world.voter("rig"), np.random.default_rng(1).permutation(SIZE)
    place = np.argsort(order)
    renamed = History(world.history.ended[np.ix_(order, order)], world.history.strength[order], world.history.ties)
    again = attackers.suspect(renamed, Ballots.of(place[ballots.a], place[ballots.b], ballots.outcome))
    found = attackers.suspect(world.history, ballots)
    assert again.peak == pytest.approx(found.peak) and order[again.model] == found.model
