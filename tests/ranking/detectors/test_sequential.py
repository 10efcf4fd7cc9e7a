"""The rule that flags: its total rate over a life of voting, and its power against the published table."""

import numpy as np
import pytest

from ranking.detectors import sequential
from ranking.detectors.watching import Rules
from tests.ranking.detectors import voters
from tests.ranking.detectors.voters import World, crowd

PUBLISHED = {  # residual z at 50 and at 100 votes; 300 voters a cell
    "random": (0.25, 0.47),
    "rig": (0.74, 1.00),
    "only": (1.00, 1.00),
    "anti-strong": (0.98, 1.00),
    "a": (0.25, 0.47),  # to a test of models an always-left voter is a random one
    "b": (0.25, 0.47),
    "tie": (0.25, 0.47),
}


def test_all_looks_together_spend_no_more_than_alpha() -> None:
    many = list(sequential.looks(10**6, 0.005))
    assert [at for at, _spent in many][:4] == [50, 100, 200, 400]
    assert sum(spent for _at, spent in many) <= 0.005
    assert list(sequential.looks(49, 0.005)) == [] and sum(sequential.SPLIT.values()) == 1


def test_a_look_sees_the_first_votes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says must not depend on when the job runs: 50 votes on one side are found among 99 as among 50."""
    monkeypatch.setattr(sequential, "PROCESS_SHARE", 1e-300)
    world = World.of(77)
    first, honest = world.voter("a", 50), world.voter("honest", 49)
    verdicts = [sequential.judge(world.history, ballots, 0.001) for ballots in (first, first.then(honest))]
    assert verdicts[0] == verdicts[1] and verdicts[0].detector == "sides"


def test_an_honest_voter_is_flagged_within_the_nominal_rate_in_400_votes() -> None:
    """Judged after every 20 votes, as a job that runs often does; flagged once is flagged."""
    people, flagged = 400, 0
    for world, ballots in crowd("honest", people, votes=400, seed=21):
        flagged += any(
            sequential.judge(world.history, ballots.take(slice(0, n))).flagged for n in (20, 50, 100, 200, 300, 400)
        )
    assert flagged / people <= sequential.ALPHA


def test_a_smaller_alpha_is_kept_as_well() -> None:
    found = [sequential.judge(w.history, b, alpha=0.01).flagged for w, b in crowd("honest", 400, seed=22)]
    assert np.mean(found) <= 0.01 + 3 * (0.01 * 0.99 / 400) ** 0.5


def test_models_sorted_by_strength_change_nothing() -> None:
    found = [sequential.judge(w.history, b).flagged for w, b in crowd("honest", 300, seed=23, order="sorted")]
    assert np.mean(found) <= sequential.ALPHA


@pytest.mark.parametrize("kind", PUBLISHED)
def test_power_at_50_and_100_votes(kind: str) -> None:
    voters = list(crowd(kind, 300, seed=24))
    for votes, published in zip((50, 100), PUBLISHED[kind], strict=True):
        found = np.mean([sequential.judge(w.history, b.take(slice(0, votes))).flagged for w, b in voters])
        error = np.sqrt(max(published * (1 - published), 0.01 * 0.99) / 300)
        assert found >= published - 3 * error, f"{kind} at {votes}: {found}"


@pytest.mark.parametrize(("kind", "least"), [("coin", 0.9), ("inverted", 0.95), ("rig+random", 0.95), ("a", 1.0)])
def test_power_against_the_others_at_100_votes(kind: str, least: float) -> None:
    found = [sequential.judge(w.history, b).flagged for w, b in crowd(kind, 100, seed=25)]
    assert np.mean(found) >= least


def test_a_busy_honest_voter_keeps_every_vote() -> None:
    """FastChat's limit keeps the first n votes per day. Here 2,000 honest votes of one person raise no suspicion."""
    verdicts = [
        sequential.judge(w.history, w.voter("honest", 2000)) for w in (World.of(31), World.of(32), World.of(33))
    ]
    assert not any(verdict.flagged for verdict in verdicts)


def test_the_least_history_keeps_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that has just enough votes to judge by: 1,000 battles of the average model."""
    monkeypatch.setattr(voters, "PAST", round(Rules().history / (voters.SIZE - 1)))
    found = [sequential.judge(w.history, b).flagged for w, b in crowd("honest", 400, votes=200, seed=5)]
    assert np.mean(found) <= sequential.ALPHA
