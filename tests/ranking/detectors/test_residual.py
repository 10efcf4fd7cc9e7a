"""Residual z-tests: calibrated at one look, and as strong as published."""

import numpy as np
import pytest
from scipy.stats import norm

from ranking.detectors import residual
from ranking.detectors.history import A_WON, B_WON, TIED, Ballots, History
from tests.ranking.detectors.voters import World, crowd


def test_nothing_is_found_in_nothing() -> None:
    found = residual.look_at(World.of(1).history, Ballots.of([], [], []))
    assert (found.p, found.agreement_p) == (1.0, 1.0) and not found.z.any()


def test_z_and_p_by_hand() -> None:
    """Four battles of a pair that the history has 100 even battles of, and one against a third model."""
    history = History(np.zeros((3, 3, 3)), np.zeros(3), 0.2)
    history.ended[0, 1], history.ended[1, 0] = (40, 40, 20), (40, 40, 20)
    found = residual.look_at(history, Ballots.of([0, 0, 1, 1, 0], [1, 1, 0, 0, 2], [A_WON, A_WON, B_WON, TIED, A_WON]))
    one = 0.2  # the variance of 1, 0 and 1/2 with chances of .4, .4, .2
    spread = 4 * one + 16 * one / 120 + one + one / 20
    assert found.z == pytest.approx(
        [2 / spread**0.5, -1.5 / (4 * one + 16 * one / 120) ** 0.5, -0.5 / (one + one / 20) ** 0.5]
    )
    assert (found.model, found.p) == (0, pytest.approx(3 * 2 * norm.sf(found.z[0])))


def test_z_is_standard_under_the_null() -> None:
    zs, agreements, hits = [], [], []
    for world, ballots in crowd("honest", 600, seed=4):
        found = residual.look_at(world.history, ballots)
        zs.append(found.z)
        agreements.append(found.agreement)
        hits.append((found.p < 0.01, found.agreement_p < 0.01))
    assert np.std(zs) == pytest.approx(1, abs=0.05) and np.mean(zs) == pytest.approx(0, abs=0.03)
    assert np.std(agreements) == pytest.approx(1, abs=0.15)
    assert (np.mean(hits, axis=0) <= 0.01 + 3 * (0.01 * 0.99 / 600) ** 0.5).all()


@pytest.mark.parametrize(
    ("kind", "at_50", "at_100"),
    [("rig", 0.74, 1.0), ("only", 1.0, 1.0), ("anti-strong", 0.98, 1.0), ("coin", 0.25, 0.47), ("a", 0.25, 0.47)],
)
def test_power_of_the_models_test_is_as_published(kind: str, at_50: float, at_100: float) -> None:
    """The row "per-model residual z, Bonferroni alpha = .01" of the published table (300 voters a cell), less 3 s.e.

    Its random voter has the figures of one who tosses a coin between the two; one who also says "tie" is seen less by it.
    """
    voters = list(crowd(kind, 300, seed=6))
    for votes, published in ((50, at_50), (100, at_100)):
        found = [residual.look_at(w.history, b.take(slice(0, votes))).p < 0.01 for w, b in voters]
        error = np.sqrt(max(published * (1 - published), 0.01 * 0.99) / 300)
        assert np.mean(found) >= published - 3 * error


def test_agreement_sees_a_random_voter_long_before_any_model_does() -> None:
    """The published row has .25 and .47 for a random voter."""
    voters = list(crowd("random", 200, seed=7))
    for votes, published in ((50, 0.25), (100, 0.47)):
        found = [residual.look_at(w.history, b.take(slice(0, votes))) for w, b in voters]
        assert np.mean([one.agreement_p < 0.01 for one in found]) > published + 0.2


def test_the_model_is_named() -> None:
    world = World.of(8)
    found = residual.look_at(world.history, world.voter("only"))
    assert found.model == int(world.theta.argmin()) and found.z[found.model] > 5
