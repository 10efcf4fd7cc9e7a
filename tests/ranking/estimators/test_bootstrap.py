"""Intervals: reproducible, wide enough in simulation, close to a peer's on real votes, and a stated rule where none exists."""

import json
import time

import numpy as np
import pytest

from ranking.board import rank_bounds
from ranking.estimators import bootstrap
from ranking.estimators.bradley_terry import PER_LOGIT, fit, to_rating
from tests.ranking import real_votes


def vote(
    rng: np.random.Generator, theta: np.ndarray, per_pair: int, ties: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """(K, K) wins and symmetric ties of `per_pair` simulated battles per pair; a tie is as likely from either side."""
    k = len(theta)
    wins, drawn = np.zeros((k, k)), np.zeros((k, k))
    for i, j in zip(*np.triu_indices(k, 1), strict=True):
        chance = 1 / (1 + np.exp(theta[j] - theta[i]))
        slack = ties * min(chance, 1 - chance)  # half a win each keeps the expectation of the points
        counts = rng.multinomial(per_pair, [chance - slack / 2, 1 - chance - slack / 2, slack])
        wins[i, j], wins[j, i], drawn[i, j] = counts
        drawn[j, i] = counts[2]
    return wins, drawn


def test_the_same_seed_gives_the_same_intervals_and_another_seed_does_not() -> None:
    wins, ties = vote(np.random.default_rng(3), np.linspace(-1, 1, 5), 40)
    theta = fit(wins + ties / 2)
    first, again, other = (bootstrap.intervals(wins, ties, theta, seed) for seed in (7, 7, 8))
    assert np.array_equal(first.lower, again.lower) and np.array_equal(first.upper, again.upper)
    assert not np.array_equal(first.lower, other.lower)
    assert np.all(first.lower < theta) and np.all(theta < first.upper)
    assert first.helped == 0


def test_replicates_do_not_depend_on_how_they_are_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    wins, ties = vote(np.random.default_rng(4), np.linspace(-1, 1, 6), 30)
    theta = fit(wins + ties / 2)
    whole, _ = bootstrap.replicate(wins, ties, theta, 1, 50)
    monkeypatch.setattr(bootstrap, "CHUNK_FLOATS", 7 * 36)
    parts, _ = bootstrap.replicate(wins, ties, theta, 1, 50)
    assert np.allclose(whole, parts, atol=1e-7)


def test_every_replicate_is_a_maximum_likelihood_fit_of_its_own_votes() -> None:
    wins, ties = vote(np.random.default_rng(5), np.linspace(-0.5, 0.5, 4), 50)
    theta = fit(wins + ties / 2)
    thetas, helped = bootstrap.replicate(wins, ties, theta, 11, 20)
    first, second = np.triu_indices(4, 1)
    cells = np.concatenate([wins[first, second], wins[second, first], ties[first, second]])
    drawn = np.random.default_rng(11).multinomial(int(cells.sum()), cells / cells.sum(), size=20)
    assert helped == 0
    for row, counts in zip(thetas, drawn, strict=True):
        won, lost, tied = np.split(counts, 3)
        points = np.zeros((4, 4))
        points[first, second], points[second, first] = won + tied / 2, lost + tied / 2
        assert np.allclose(row, fit(points), atol=1e-7)


def test_a_replicate_without_an_estimate_gets_half_a_virtual_battle_per_pair() -> None:
    """One loss in ten: about a third of the resamples lose it. The bound is then log(10.25 / 0.25) apart, not infinite."""
    wins = np.array([[0.0, 9.0], [1.0, 0.0]])
    ties = np.zeros((2, 2))
    thetas, helped = bootstrap.replicate(wins, ties, fit(wins), 1, 1000)
    assert 250 < helped < 450
    assert np.isfinite(thetas).all()
    assert np.ptp(thetas, axis=1).max() == pytest.approx(np.log(10.25 / 0.25), abs=1e-6)


def test_nominal_coverage_in_simulation() -> None:
    """200 boards of 5 models: 95 % of 1000 intervals, give or take 3 standard errors and the bootstrap's small bias."""
    rng, theta = np.random.default_rng(6), np.linspace(-0.8, 0.8, 5)
    inside = []
    for board in range(200):
        wins, ties = vote(rng, theta, 60)
        ends = bootstrap.intervals(wins, ties, fit(wins + ties / 2), seed=board, replicates=400)
        inside.append((ends.lower <= theta) & (theta <= ends.upper))
    assert 0.925 <= np.mean(inside) <= 0.975


def test_half_widths_on_real_votes_are_those_of_a_peer() -> None:
    reference = json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())
    expected = reference["llmfao_crowd"]["arena_rank_unweighted"]
    names, wins, ties = real_votes.outcomes(real_votes.file("llmfao_crowd.csv"))
    assert names == expected["competitors"]
    theta = fit(wins + ties / 2)
    assert np.abs(to_rating(theta) - expected["ratings_exact_newton_mean1000"]).max() < 1e-6
    ends, peer = bootstrap.intervals(wins, ties, theta, 1), expected["bootstrap_seed42_B1000"]
    ratio = PER_LOGIT * (ends.upper - ends.lower) / (np.array(peer["upper_97.5"]) - peer["lower_2.5"])
    assert 0.98 < ratio.mean() < 1.02  # two independent sets of 1000 replicates
    assert np.all((ratio > 0.85) & (ratio < 1.15))
    best, _worst = rank_bounds(ends.lower, ends.upper)
    assert np.abs(best - np.array(expected["rank_by_ci_overlap_tight"])).max() <= 6  # sandwich there, bootstrap here


def test_fifty_models_take_about_a_second() -> None:
    wins, ties = vote(np.random.default_rng(8), np.random.default_rng(9).normal(0, 0.8, 50), 80)
    theta = fit(wins + ties / 2)
    begin = time.process_time()
    bootstrap.intervals(wins, ties, theta, 1)
    assert time.process_time() - begin < 4.0  # 0.9 s on an idle core
