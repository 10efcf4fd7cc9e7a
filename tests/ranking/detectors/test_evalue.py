"""Uniform p-values, a calibrator that integrates to one, and none of the faults of the rule that it replaces."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from ranking.detectors import evalue
from tests.ranking.detectors.voters import World, crowd

KEY = b"k" * 32
PEOPLE = 400


def rate(kind: str, order: str = "random", people: int = PEOPLE) -> float:
    rng = np.random.default_rng(5)
    voters = crowd(kind, people, seed=2, order=order)
    return float(np.mean([evalue.flags(evalue.p_values(w.history, b, rng.random(len(b)))) for w, b in voters]))


def test_the_calibrator_is_one() -> None:
    assert quad(lambda p: 1 / (2 * np.sqrt(p)), 0, 1)[0] == pytest.approx(1)
    assert evalue.process(np.array([0.25, 1.0])) == pytest.approx([0.0, np.log(0.5)])


def test_the_peak_counts_and_not_the_end() -> None:
    p = np.array([0.0025, 0.25, 1.0])  # e = 10, 1, 1/2
    assert evalue.peak(p) == pytest.approx(1.0) and evalue.flags(p, 0.11) and not evalue.flags(p, 0.09)
    assert evalue.peak(np.array([1.0])) == evalue.peak(np.empty(0)) == 0.0 and not evalue.flags(np.empty(0))


def test_p_values_of_honest_votes_are_uniform_ties_included() -> None:
    world = World.of(3)
    ballots = world.voter("honest", 6000)
    exact = World.of(3)
    exact.history = type(world.history)(_exact(world), world.theta, 0.25)  # the true chances, from very many battles
    p = evalue.p_values(exact.history, ballots, evalue.uniforms(KEY, [str(i) for i in range(6000)]))
    assert kstest(p, "uniform").pvalue > 0.01


def _exact(world: World) -> np.ndarray:
    i, j = np.divmod(np.arange(400), 20)
    return (world.chances(i, j) * 1e7).reshape(20, 20, 3)


def test_the_draw_is_keyed_and_repeatable() -> None:
    first, second = evalue.uniforms(KEY, ["v1", "v2"]), evalue.uniforms(KEY, ["v2", "v1"])
    assert first.tolist() == second[::-1].tolist() and first[0] != first[1]
    assert (evalue.uniforms(b"x" * 32, ["v1"]) != first[:1]).all()
    many = evalue.uniforms(KEY, [str(i) for i in range(4000)])
    assert kstest(many, "uniform").pvalue > 0.01


def test_honest_voters_are_flagged_within_the_nominal_rate_where_fastchats_rule_is_not() -> None:
    """FastChat's rule: 1/(2p), stopped at 1/alpha, flagged 7.5 % at a nominal 5 %. The same stop with a valid calibrator:"""
    assert rate("honest") <= 0.05
    assert quad(lambda p: 1 / (2 * p), 1e-9, 1)[0] > 10  # not an e-value: its mean has no bound


def test_it_sees_what_it_should() -> None:
    assert (
        rate("inverted", people=100) > 0.3 and rate("anti-strong", people=100) > 0.9 and rate("only", people=60) > 0.95
    )


def test_the_order_of_names_changes_nothing() -> None:
    """FastChat's rule flags up to 20 % of honest voters when models are sorted by strength."""
    assert rate("honest", order="sorted") <= 0.05
