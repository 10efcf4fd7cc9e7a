"""Campaigns of many who vote once: seen together, quarantined without bias, and honest newcomers left alone."""

import numpy as np
import pytest

from ranking.detectors import swarm
from ranking.detectors.history import A_WON, B_WON, Ballots
from tests.ranking.detectors.voters import SIZE, World


def joined(*parts: Ballots) -> Ballots:
    return Ballots.of(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("a", "b", "outcome")))


def test_honest_newcomers_are_left_alone() -> None:
    found = [
        swarm.quarantine(w.history, w.voter("honest", n)) for n in (10, 300, 3000) for w in map(World.of, range(40))
    ]
    assert sum(bool(campaigns) for _out, campaigns in found) == 0  # nominal: 120 windows x .001


def test_newcomers_may_differ_honestly() -> None:
    """Every fifth newcomer votes at random: a difference of people, which the heterogeneity allows for."""
    for seed in range(20):
        world = World.of(seed)
        assert not swarm.quarantine(world.history, joined(world.voter("honest", 1600), world.voter("random", 400)))[1]


@pytest.mark.parametrize("campaign", [150, 400, 1000])
def test_a_campaign_is_named_and_taken_out_in_both_directions(campaign: int) -> None:
    world = World.of(5)
    target = int(world.theta.argmin())
    honest, bought = world.voter("honest", 2000), world.voter("only", campaign)
    ballots = joined(honest, bought)
    out, found = swarm.quarantine(world.history, ballots)
    assert (found[0].model, found[0].z > 0) == (target, True)
    assert out[2000:].mean() > 0.99
    with_target = (ballots.a == target) | (ballots.b == target)
    assert out[with_target].all(), "those that it lost are taken out as well, or its rating would be pushed down"
    if len(found) == 1:
        assert out[:2000].mean() == pytest.approx(2 / SIZE, abs=0.03)


def test_a_campaign_against_one_is_seen_too() -> None:
    world = World.of(6)
    victim = int(world.theta.argmax())
    bought = world.voter("honest", 600)
    mine = (bought.a == victim) | (bought.b == victim)
    lost = np.where(bought.a == victim, B_WON, A_WON)
    ballots = joined(world.voter("honest", 200), Ballots.of(bought.a, bought.b, np.where(mine, lost, bought.outcome)))
    out, found = swarm.quarantine(world.history, ballots)
    assert found and found[0].model == victim and found[0].z < 0 and out.any()


def test_an_empty_window() -> None:
    out, found = swarm.quarantine(World.of(1).history, Ballots.of([], [], []))
    assert len(out) == 0 and found == []
