"""All rules together, on votes made by hand: whom they look at, by what, and what they leave alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from ranking.detectors import swarm
from ranking.detectors.history import A_WON, B_WON, Ballots, History
from ranking.detectors.watching import Rules, Votes, examine, told_enough
from tests.ranking.detectors.voters import SIZE, World

NOW = 1e9
NOTHING = Ballots.of([], [], [])
QUIET = Rules(alpha=1e-300, group_alpha=1e-300, swarm_alpha=1e-300, share=1.0, prefix_share=1.0)


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(41)


def votes(ballots: Ballots, **columns: Any) -> Votes:
    """Fresh, counted votes of one voter each who shares nothing, an hour ago."""
    n = len(ballots)
    given = {
        "voter": np.arange(n), "prefix": np.arange(n), "prompt": np.arange(n), "at": np.full(n, NOW - 3600),
        "risk": np.zeros(n), "fresh": np.ones(n, bool), "counted": np.ones(n, bool),
    } | {name: np.broadcast_to(value, n).copy() for name, value in columns.items()}  # fmt: skip
    return Votes(ballots=ballots, **given)


def found(world: World, cast: Votes, rules: Rules) -> list[tuple[str, str]]:
    history = world.history.plus(cast.ballots.take(cast.counted))
    return [(one.detector, one.kind) for one in examine(history, cast, rules, NOW)]


def test_a_voter_is_judged_when_he_has_a_new_vote_and_his_votes_count_still(world: World) -> None:
    cast, rules = votes(world.voter("only", 40), voter=0), replace(QUIET, alpha=0.05)
    assert found(world, cast, rules) == [("attackers", "voter")]
    assert found(world, replace(cast, fresh=np.zeros(40, bool)), rules) == []
    assert found(world, replace(cast, counted=np.zeros(40, bool)), rules) == [], "nothing is left to take out"
    one_left = replace(cast, counted=np.arange(40) == 39)
    assert found(world, one_left, rules) == [("attackers", "voter")], "the record holds what was taken out, too"
    assert found(world, replace(cast, ballots=world.voter("honest", 40)), rules) == []


def test_nobody_is_judged_by_what_others_have_not_told_of(world: World) -> None:
    cast = votes(world.voter("only", 40), voter=0)
    others = int(world.history.battles.sum(axis=1)[0])
    assert found(world, cast, replace(QUIET, alpha=0.05, known=others)) == [("attackers", "voter")]
    assert found(world, cast, replace(QUIET, alpha=0.05, known=others + 1)) == [], "the voter's own votes do not help"
    assert found(world, cast, replace(QUIET, alpha=0.05, history=others + 100)) == []
    few = History.of_ballots(3, Ballots.of([0] * 30 + [0] * 5, [1] * 30 + [2] * 5, [0] * 35))
    asked = Ballots.of([0, 1, 2], [1, 0, 0], [0, 0, 0])
    assert told_enough(few, asked, replace(QUIET, known=30)).tolist() == [True, True, False]


def test_nobody_is_compared_with_himself() -> None:
    """Two thirds of what is known of a pair is the voter's own: by it he would look far more ordinary than he is."""
    a, b = [0] * 600 + [1] * 600, [2] * 1200
    past = History.of_ballots(3, Ballots.of(a, b, ([A_WON] * 480 + [B_WON] * 120) * 2))
    said = votes(Ballots.of([0] * 600 + [1] * 600, [2] * 1200, [B_WON] * 1200), voter=0)
    whole = past.plus(said.ballots)
    rules = replace(QUIET, history=100, known=100)
    assert [one.way for one in examine(whole, said, replace(rules, alpha=1e-300), NOW)] == ["promote"]
    against_himself = replace(said, counted=np.zeros(1200, bool) | (np.arange(1200) == 0))
    assert examine(whole, against_himself, replace(rules, alpha=1e-300), NOW) == []


def test_a_group_is_of_two_people_at_least_and_of_young_ones(world: World) -> None:
    cast, rules = votes(world.voter("only", 30), prefix=7), replace(QUIET, group_alpha=0.01)
    assert found(world, cast, rules) == [("attackers", "prefix")]
    assert found(world, replace(cast, voter=np.zeros(30, int)), replace(rules, young=100)) == []
    assert found(world, replace(cast, voter=np.arange(30) % 2), rules) == [("attackers", "prefix")]
    assert found(world, replace(cast, voter=np.arange(30) % 2), replace(rules, young=15)) == []
    shared = replace(cast, prefix=np.arange(30), prompt=np.zeros(30, int))
    assert found(world, shared, replace(rules, duplicates=100)) == [("attackers", "prompt")]


def test_the_windows_share_the_alpha_of_a_swarm(world: World) -> None:
    cast = votes(world.voter("only", 60))
    z, _battles = swarm.look_at(world.history.plus(cast.ballots).without(cast.ballots), cast.ballots, NOTHING)
    alone = float(2 * SIZE * ndtr(-np.abs(z).max()))  # the alpha of one window that would just flag it
    assert found(world, cast, replace(QUIET, swarm_alpha=1.5 * alone)) == []
    assert ("swarm", "window") in found(world, cast, replace(QUIET, swarm_alpha=3.01 * alone))


def test_caps_are_of_voters_and_of_prefixes(world: World) -> None:
    cast = votes(world.voter("only", 60), prefix=3)
    assert found(world, cast, replace(QUIET, prefix_share=0.001, share_least=20)) == [("cap", "prefix")]
    by_one = replace(cast, voter=np.zeros(60, int), prefix=np.arange(60))
    capped = examine(world.history.plus(cast.ballots), by_one, replace(QUIET, share=0.001, share_least=20), NOW)
    assert [(one.detector, one.kind, len(one.rows)) for one in capped] == [("cap", "voter", 40)]


def test_a_vote_goes_out_once_by_the_first_rule_that_finds_it(world: World) -> None:
    cast = votes(world.voter("only", 40), voter=0, risk=1.0)
    rules = replace(QUIET, alpha=0.05, share=0.001, share_least=1)
    assert found(world, cast, rules) == [("haste", "")]
