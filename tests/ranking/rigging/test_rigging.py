"""S17: seven published strategies with 1,000 votes each against 200,000 honest ones: the target moves by at most one rank.

`pytest -s` prints the table with the ranks that they reach without defences. Two boards: strengths spread over 2.4 logits as
in the published simulation, and a dense one over .8, where 1,000 votes can buy 18 ranks.
"""

import numpy as np
import pytest

from ranking.detectors.history import A_WON, B_WON, TIED, Ballots
from ranking.detectors.watching import DAY_S, Rules, examine
from ranking.rigging.replay import SPREADS, Outcome, rank, replay
from ranking.rigging.strategies import STRATEGIES, Rigger
from tests.ranking.rigging import site

NUMBER, SEED = 1000, 7
TARGET_ONLY = ("t-random", "t-tie", "t-abstain", "t-normal")


@pytest.fixture(scope="module")
def small() -> Rigger:
    history, _votes, target = site.honest(seed=4)
    return Rigger(history, target, SEED)


def table(seed: int, spread: float) -> dict[tuple[str, str], Outcome]:
    history, votes, target = site.honest(seed, spread)
    assert rank(history, target) == 25 and len(votes) == 200_000
    found = {}
    print(f"\nstrength spread {spread} logits\n{'strategy':<10} {'over':<42} before without defended flagged honest")
    for strategy in STRATEGIES:
        rigged = Rigger(history, target, SEED).votes(strategy, NUMBER)
        for way in SPREADS:
            one = replay(history, votes, target, rigged, way, Rules(), site.NOW)
            found[strategy, way.name] = one
            ranks = f"{one.before:>6} {one.without:>7} {one.defended:>8}"
            print(f"{strategy:<10} {way.name:<42} {ranks} {one.flagged:>7.2f} {one.honest:>6}")
    return found


@pytest.mark.parametrize(("seed", "spread", "bought"), [(1, 2.4, 4), (3, 0.8, 15)])
def test_with_defences_the_target_moves_by_at_most_one_rank(seed: int, spread: float, bought: int) -> None:
    found = table(seed, spread)
    assert len(found) == 7 * 4
    for (strategy, way), one in found.items():
        assert abs(one.defended - one.before) <= 1, (strategy, way, one)
        if way == "1 visitor":
            assert one.flagged == 1.0, (strategy, way, one)
        assert one.honest <= 0.002 * site.VOTES, (strategy, way, one)
    for way in SPREADS:
        one = found["t-abstain", way.name]
        assert one.before - one.without >= bought, "the attack is real: this is what it does where nobody looks"
        assert one.flagged == 1.0


def test_honest_people_keep_their_votes() -> None:
    """The last week's voters, looked at as the watch does: nominal 5 % of those who can be judged at all."""
    history, votes, _target = site.honest(seed=5)
    fresh = votes.at > site.NOW - 7 * DAY_S
    seen = type(votes)(**{name: getattr(votes, name) for name in votes.__slots__} | {"fresh": fresh})
    out = np.zeros(len(votes), bool)
    for finding in examine(history, seen, Rules(), site.NOW):
        out[finding.rows] = True
    people = np.unique(votes.voter[fresh])
    judged = np.isin(votes.voter, people)
    assert judged.sum() > 10_000
    assert out[judged].mean() <= 0.05 and not out[~judged].any()
    assert len(np.unique(votes.voter[out])) <= 0.05 * len(people)


# --- the strategies themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_target_wins_every_battle_of_its_own(small: Rigger, strategy: str) -> None:
    cast = Rigger(small.history, small.target, 3).votes(strategy, 600)
    assert len(cast) == 600
    as_a, as_b = cast.a == small.target, cast.b == small.target
    assert (cast.outcome[as_a] == A_WON).all() and (cast.outcome[as_b] == B_WON).all()
    share = (as_a | as_b).mean()
    assert share == 1.0 if strategy == "t-abstain" else 0.01 < share < 0.1


def test_what_they_do_elsewhere(small: Rigger) -> None:
    def elsewhere(strategy: str) -> Ballots:
        cast = Rigger(small.history, small.target, 3).votes(strategy, 600)
        return cast.take((cast.a != small.target) & (cast.b != small.target))

    ties = {
        strategy: (elsewhere(strategy).outcome == TIED).mean() for strategy in STRATEGIES if strategy != "t-abstain"
    }
    assert ties["t-tie"] == 1 and ties["o-bt-abs"] == ties["o-bt-diff"] == 0
    assert ties["t-random"] == pytest.approx(1 / 3, abs=0.07) and ties["t-normal"] == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("strategy", ["o-bt-abs", "o-bt-diff"])
def test_omnipresent_votes_help_without_the_target(small: Rigger, strategy: str) -> None:
    """Votes in battles that the target has no part in raise it: in rating, or against the rank above."""
    cast = Rigger(small.history, small.target, 3).votes(strategy, 800)
    rest = cast.take((cast.a != small.target) & (cast.b != small.target))
    before, after = small, Rigger(small.history.plus(rest), small.target, 3)
    t, r = small.target, small.rival
    gain = {
        "o-bt-abs": after.theta[t] - before.theta[t],
        "o-bt-diff": (after.theta[t] - after.theta[r]) - (before.theta[t] - before.theta[r]),
    }[strategy]
    assert gain > 0


def test_the_online_strategy_pushes_down_whoever_is_closer_to_the_target(small: Rigger) -> None:
    """There a rating point costs the target most expected wins."""
    theta, t = small.theta, small.target
    close = np.abs(theta - theta[t])
    a, b = np.nonzero(close[:, None] > close[None, :] + 0.3)
    away = (a != t) & (b != t)
    said = STRATEGIES["o-online"](small, a[away], b[away])
    assert (said == A_WON).mean() > 0.9


def test_an_unknown_strategy_is_an_error(small: Rigger) -> None:
    with pytest.raises(KeyError):
        small.votes("t-nothing", 1)
