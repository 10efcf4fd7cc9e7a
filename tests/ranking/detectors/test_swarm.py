"""Campaigns of many who vote once: seen together, quarantined without bias, and honest newcomers left alone."""

import numpy as np
import pytest
from scipy.stats import norm

from ranking.detectors import swarm
from ranking.detectors.history import A_WON, B_WON, Ballots, History
from tests.ranking.detectors.voters import SIZE, World

NOBODY = Ballots.of([], [], [])


def joined(*parts: Ballots) -> Ballots:
    return Ballots.of(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("a", "b", "outcome")))


def test_honest_newcomers_are_left_alone() -> None:
    found = [
        swarm.quarantine(w.history, w.voter("honest", n), NOBODY)
        for n in (10, 300, 3000)
        for w in map(World.of, range(40))
    ]
    assert sum(bool(campaigns) for _out, campaigns in found) == 0  # nominal: 120 windows x .001


def test_newcomers_may_differ_honestly() -> None:
    """Every fifth newcomer votes at random: a difference of people, which the heterogeneity allows for."""
    for seed in range(20):
        world = World.of(seed)
        assert not swarm.quarantine(
            world.history, joined(world.voter("honest", 1600), world.voter("random", 400)), NOBODY
        )[1]


@pytest.mark.parametrize("campaign", [150, 400, 1000])
def test_a_campaign_is_named_and_taken_out_in_both_directions(campaign: int) -> None:
    world = World.of(5)
    target = int(world.theta.argmin())
    honest, bought = world.voter("honest", 2000), world.voter("only", campaign)
    ballots = joined(honest, bought)
    out, found = swarm.quarantine(world.history, ballots, NOBODY)
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
    out, found = swarm.quarantine(world.history, ballots, NOBODY)
    assert found and found[0].model == victim and found[0].z < 0 and out.any()


def test_z_by_hand() -> None:
    """The young prefer model 0 by 6 of 8, the regulars by 3 of 4, where the past is even."""
    history = History(np.zeros((2, 2, 3)), np.zeros(2), 0.0)
    history.ended[0, 1], history.ended[1, 0] = (500, 500, 0), (500, 500, 0)
    young, regular = (Ballots.of([0] * n, [1] * n, [A_WON] * won + [B_WON] * (n - won)) for n, won in ((8, 6), (4, 3)))
    chance = history.of_each(young)[0, 0]
    assert chance == pytest.approx(0.5, abs=1e-4)
    z, battles = swarm.look_at(history, young, regular, heterogeneity=0.1)
    known = 4 + 0.19 / 0.01
    spread = 8 * 0.25 + 64 * (0.01 + 0.19 / known + 0.19 / 1000)
    assert battles.tolist() == [8, 8]
    assert z[0] == -z[1] == pytest.approx((2 - 8 * 1 / known) / spread**0.5, rel=1e-3)
    just = 4 * norm.sf(abs(z[0]))  # two models, two directions
    for alpha, seen in ((1.01 * just, True), (0.99 * just, False)):
        assert bool(swarm.quarantine(history, young, regular, alpha, 0.1)[1]) == seen


def test_an_empty_window() -> None:
    out, found = swarm.quarantine(World.of(1).history, NOBODY, NOBODY)
    assert len(out) == 0 and found == []


@pytest.mark.parametrize(("regulars", "better"), [(True, 0.8), (False, 3.0)])
def test_a_model_that_has_become_better_for_everybody_is_no_campaign(regulars: bool, better: float) -> None:
    """Where regulars vote, too, they say so. Where only newcomers do, nothing tells a new version from a campaign: it is seen."""
    seen = 0
    for seed in range(10):
        world = World.of(seed)
        world.theta[world.theta.argmin()] += better
        others = world.voter("honest", 3000) if regulars else NOBODY
        seen += bool(swarm.quarantine(world.history, world.voter("honest", 3000), others)[1])
    assert seen == 0 if regulars else seen >= 8


def test_regulars_do_not_hide_a_campaign() -> None:
    world = World.of(5)
    ballots = joined(world.voter("honest", 1000), world.voter("only", 300))
    out, found = swarm.quarantine(world.history, ballots, world.voter("honest", 2000))
    assert found[0].model == int(world.theta.argmin()) and out[1000:].all()
