"""Confidence sequences: the published boundary, and peeking after every battle, which breaks fixed-n intervals."""

import numpy as np
import pytest

from ranking.estimators import sandwich, sequences
from ranking.estimators.bradley_terry import fit
from ranking.estimators.sandwich import Covariance
from ranking.method import SEQUENCE_PLANNED, SEQUENCE_START
from tests.ranking.estimators.simulated import half_win, tally_of

ALPHA = 0.05


def paths(seed: int, boards: int, votes: int, chance: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two models: (boards, votes) estimates of their difference and standard errors after each vote, and the votes."""
    n = np.arange(1, votes + 1)
    wins = np.cumsum(np.random.default_rng(seed).random((boards, votes)) < chance, axis=1)
    p = np.clip(wins / n, 1 / (2 * n), 1 - 1 / (2 * n))
    return np.log(p / (1 - p)), 1 / np.sqrt(n * p * (1 - p)), n


def test_peeking_after_every_vote_keeps_the_error_and_fixed_intervals_do_not() -> None:
    """2,000 boards of two equal models, looked at after each of votes 100 to 5,000."""
    gap, se, n = paths(1, 2000, 5000)
    gap, se, n = gap[:, 99:], se[:, 99:], n[99:]
    error = 3 * (ALPHA * (1 - ALPHA) / 2000) ** 0.5
    two_sided = (np.abs(gap) > sequences.radius(se, n, ALPHA)).any(axis=1).mean()
    one_sided = (gap > sequences.one_sided_radius(se, n, ALPHA)).any(axis=1).mean()
    fixed = (np.abs(gap) > 1.96 * se).any(axis=1).mean()
    assert two_sided < ALPHA + error and one_sided < ALPHA + error
    assert fixed > 0.3
    assert two_sided > 0.005 and one_sided > 0.005  # valid, and not merely by being useless


def test_a_real_difference_is_confirmed_and_stays_so() -> None:
    gap, se, n = paths(2, 200, 5000, chance=0.6)
    over = gap > sequences.one_sided_radius(se, n, ALPHA)
    assert over[:, -1].mean() > 0.99
    assert (np.abs(gap - np.log(0.6 / 0.4)) <= sequences.radius(se, n, ALPHA))[:, 99:].all(axis=1).mean() >= 0.95


def watch(rng: np.random.Generator, theta: np.ndarray, looks: int, per_look: int) -> tuple[bool, bool]:
    """One growing board: did a model that is not the best ever lead by the sequence, and by a fixed one-sided 95 % bound?"""
    size, first, second = len(theta), *np.triu_indices(len(theta), 1)
    best, outcomes, false, fixed = theta.argmax(), np.zeros((3, len(first))), False, False
    for _look in range(looks):
        battles = np.zeros((size, size), int)
        battles[first, second] = rng.multinomial(per_look, np.full(len(first), 1 / len(first)))
        met = battles[first, second] > 0
        outcomes[:, met] += half_win(rng, theta, battles)[2:]
        tally = tally_of(size, first, second, outcomes)
        estimate = fit(tally.pairs()).theta
        covariance = sandwich.battle(tally, estimate)
        played = np.bincount(first, outcomes.sum(axis=0), size) + np.bincount(second, outcomes.sum(axis=0), size)
        if (played < SEQUENCE_START).any():
            continue
        leader = sequences.leader(estimate, covariance, played)
        assert leader is not None
        top, next_one = np.argsort(-estimate)[:2]
        z = (estimate[top] - estimate[next_one]) / covariance.se_of_difference(top, next_one)
        false |= leader.confirmed and leader.model != best
        fixed |= bool(z > 1.645 and top != best)
    return false, fixed


def test_a_false_leader_is_rarely_announced_however_often_one_looks() -> None:
    """Four models, the best by a hair; 60 looks each. The fixed bound announces a false leader on many boards."""
    rng, theta, boards = np.random.default_rng(3), np.array([0.001, 0.0, 0.0, -0.5]), 120
    seen = np.array([watch(rng, theta, looks=60, per_look=60) for _ in range(boards)])
    assert seen[:, 0].mean() < ALPHA + 3 * (ALPHA * (1 - ALPHA) / boards) ** 0.5
    assert seen[:, 1].mean() > 0.1


def test_the_radius_is_the_published_boundary_and_is_tightest_near_its_plan() -> None:
    """Waudby-Smith et al., theorem 2.2, and Howard et al.'s normal mixture sqrt((V + r) log((V + r) / (alpha^2 r)))."""
    n, rho2 = 1234.0, sequences.rho_squared(5000, ALPHA)
    published = np.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1) / ALPHA))
    assert sequences.radius(1 / n**0.5, n, ALPHA, 5000) == pytest.approx(published, rel=1e-12)
    mixture = np.sqrt((n + 1 / rho2) * np.log((n + 1 / rho2) / (ALPHA**2 / rho2))) / n
    assert sequences.radius(1 / n**0.5, n, ALPHA, 5000) == pytest.approx(mixture, rel=1e-12)
    plans = 5000 * np.exp(np.linspace(-1, 1, 81))
    widths = [float(sequences.radius(1.0, 5000, ALPHA, plan)) for plan in plans]
    assert abs(np.log(plans[int(np.argmin(widths))] / 5000)) < 0.15
    assert 1.3 < min(widths) / 1.96 < 1.7  # what always-valid costs


def test_one_sided_is_narrower_than_two_sided() -> None:
    n = np.array([100, 1000, 100_000])
    assert (sequences.one_sided_radius(1.0, n, ALPHA) < sequences.radius(1.0, n, ALPHA)).all()


def test_a_leader_is_named_with_its_closest_rival_and_needs_votes() -> None:
    theta, covariance = np.array([0.0, 2.0, 1.7]), Covariance(np.diag([0.01, 0.01, 0.01]))
    leader = sequences.leader(theta, covariance, np.full(3, 5000.0))
    assert leader is not None and (leader.model, leader.runner_up, leader.confirmed) == (1, 2, False)
    alpha, votes, rho2 = ALPHA / 2, 7500, sequences.rho_squared(SEQUENCE_PLANNED, ALPHA)  # one-sided, K - 1 = 2 rivals
    boundary = (1 + 1 / (votes * rho2)) * 2 * np.log((1 + np.sqrt(votes * rho2 + 1) / alpha) / 2)
    assert leader.margin == pytest.approx(0.3 - np.sqrt(0.02 * boundary), abs=1e-12)
    certain = sequences.leader(theta, Covariance(covariance.matrix / 100), np.full(3, 5000.0))
    assert certain is not None and certain.confirmed and 0 < certain.margin < 0.3
    early = sequences.leader(theta, Covariance(covariance.matrix / 100), np.array([5000.0, 5000, SEQUENCE_START - 1]))
    assert early is not None and not early.confirmed
    assert sequences.leader(np.zeros(1), Covariance(np.zeros((1, 1))), np.zeros(1)) is None
