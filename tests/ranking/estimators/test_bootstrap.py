"""Replicates: reproducible, each a fit of its own votes, wide enough in simulation, a stated rule where none exists, fast."""

import json
import time
from itertools import combinations_with_replacement
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import bootstrap, bradley_terry, chord, resampling
from ranking.estimators.bradley_terry import PER_LOGIT, fit, to_rating
from ranking.estimators.judges import JudgeTally
from ranking.estimators.resampling import Multinomial
from ranking.estimators.tally import Pairs, Tally
from tests.ranking import real_votes
from tests.ranking.estimators.simulated import davidson, even, pairs_of, skewed


def board(seed: int, size: int, per_pair: int) -> tuple[Pairs, np.ndarray]:
    pairs = davidson(np.random.default_rng(seed), np.linspace(-1, 1, size), even(size, per_pair))
    return pairs, fit(pairs).theta


def test_the_same_seed_gives_the_same_replicates_and_another_seed_does_not() -> None:
    pairs, theta = board(3, 5, 40)
    first, again, other = (bootstrap.multinomial(pairs, theta, seed) for seed in (7, 7, 8))
    assert np.array_equal(first.thetas, again.thetas) and not np.array_equal(first.thetas, other.thetas)
    lower, upper = bootstrap.percentiles(first.thetas)
    assert np.all(lower < theta) and np.all(theta < upper)
    assert (first.helped, first.by_newton, first.thetas.shape) == (0, 0, (1000, 5))
    assert np.abs(first.thetas.mean(axis=1)).max() < 1e-12


@pytest.mark.parametrize(("size", "per_pair"), [(4, 50), (12, 9), (40, 3), (25, 2)])
def test_every_replicate_is_a_maximum_likelihood_fit_of_its_own_votes(size: int, per_pair: int) -> None:
    pairs, theta = board(5, size, per_pair)
    made = bootstrap.multinomial(pairs, theta, 11, 40)
    up, down = Multinomial(pairs, 11).draw(40)
    assert made.helped == 0
    for row, points, against in zip(made.thetas, up.T, down.T, strict=True):
        alone, _ = bradley_terry.newton(pairs.first, pairs.second, points, against, np.zeros(size), 1e-12)
        assert np.abs(row - alone).max() < 1e-8


def test_a_replicate_that_the_chord_does_not_settle_is_fitted_by_newton(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, theta = board(4, 8, 12)
    settled = bootstrap.multinomial(pairs, theta, 2, 60)
    monkeypatch.setattr(chord, "ROUNDS", 2)
    together = bootstrap.multinomial(pairs, theta, 2, 60)
    monkeypatch.setattr(chord, "NEWTON_STEPS", 0)
    alone = bootstrap.multinomial(pairs, theta, 2, 60)
    assert (settled.by_newton, together.by_newton, alone.by_newton) == (0, 0, 60)
    for other in (together, alone):
        assert np.abs(other.thetas - settled.thetas).max() < 1e-8


def test_memory_is_bounded_by_working_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, theta = board(4, 6, 30)
    sizes: list[int] = []
    draw = Multinomial.draw
    monkeypatch.setattr(Multinomial, "draw", lambda self, count: sizes.append(count) or draw(self, count))
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 7 * 12 * 15)
    made = bootstrap.multinomial(pairs, theta, 1, 50)
    assert sizes == [7] * 7 + [1] and made.thetas.shape == (50, 6) and np.isfinite(made.thetas).all()


def test_percentiles_leave_out_half_of_the_rest_at_each_end() -> None:
    lower, upper = bootstrap.percentiles(np.arange(1001.0)[:, None])
    assert (lower[0], upper[0]) == pytest.approx((25, 975))
    lower, upper = bootstrap.percentiles(np.arange(1001.0)[:, None], confidence=0.9)
    assert (lower[0], upper[0]) == pytest.approx((50, 950))


def test_a_replicate_without_an_estimate_gets_half_a_virtual_battle_per_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """One loss in ten: about a third of the resamples lose it. The bound is then log(10.25 / 0.25) apart, not infinite."""
    pairs = pairs_of(np.array([[0.0, 9.0], [1.0, 0.0]]))
    made = bootstrap.multinomial(pairs, fit(pairs).theta, 1, 1000)
    assert 250 < made.helped < 450
    assert np.isfinite(made.thetas).all()
    assert np.ptp(made.thetas, axis=1).max() == pytest.approx(np.log(10.25 / 0.25), abs=1e-6)
    assert made.by_newton == 0, "the virtual battle is known to the common iteration, too"
    monkeypatch.setattr(chord, "ROUNDS", 1)
    monkeypatch.setattr(chord, "NEWTON_STEPS", 0)
    alone = bootstrap.multinomial(pairs, fit(pairs).theta, 1, 1000)
    assert alone.by_newton > made.helped and alone.helped == made.helped
    assert np.abs(alone.thetas - made.thetas).max() < 1e-8


def test_a_board_that_hangs_by_wins_in_a_ring_is_resampled_too() -> None:
    """No pair whose models took points from each other."""
    ring = np.zeros((4, 4))
    ring[[0, 1, 2, 3], [1, 2, 3, 0]] = 3.0
    pairs = pairs_of(ring)
    made = bootstrap.poisson(pairs, fit(pairs).theta, 1, 400)
    assert 0.1 < made.helped / 400 < 0.3  # 1 - (1 - e^-3)^4 = 0.18
    assert np.isfinite(made.thetas).all()


def test_poisson_and_multinomial_agree_in_their_spread() -> None:
    pairs, theta = board(9, 10, 60)
    spread = [law(pairs, theta, 5, 4000).thetas.std(axis=0) for law in (bootstrap.poisson, bootstrap.multinomial)]
    assert np.abs(spread[0] / spread[1] - 1).max() < 0.06


def test_judges_who_repeat_themselves_widen_the_clustered_interval_only() -> None:
    """Every judge votes the same battle four times: sqrt(4) times the spread, which the battle-level bootstrap misses."""
    rng = np.random.default_rng(8)
    a, b = rng.integers(0, 3, 1500), rng.integers(3, 6, 1500)
    outcome = rng.integers(0, 3, 1500)
    four = [np.repeat(column, 4) for column in (a, b, outcome, np.arange(1500))]
    tally = JudgeTally.of_battles("abcdef", *four)
    pairs = tally.tally().pairs()
    theta = fit(pairs).theta
    judges, battles = bootstrap.clustered(tally, theta, 1).thetas, bootstrap.multinomial(pairs, theta, 1).thetas
    assert np.median(judges.std(axis=0) / battles.std(axis=0)) == pytest.approx(2.0, rel=0.06)
    once = Tally.of_battles("abcdef", a, b, outcome).pairs()
    single = bootstrap.multinomial(once, fit(once).theta, 2).thetas
    assert np.median(judges.std(axis=0) / single.std(axis=0)) == pytest.approx(1.0, rel=0.06)


def test_a_clustered_replicate_is_made_of_whole_judges() -> None:
    """Three judges of 6, 9 and 20 battles of one pair: ten ways to draw three of them, and no other estimate is possible."""
    won, lost = np.array([5, 2, 11]), np.array([1, 7, 9])
    judge, outcome = (
        np.repeat(np.arange(3), won + lost),
        np.concatenate([np.repeat([0, 1], p) for p in zip(won, lost, strict=True)]),
    )
    tally = JudgeTally.of_battles("ab", np.zeros(35, int), np.ones(35, int), outcome, judge)
    made = bootstrap.clustered(tally, fit(tally.tally().pairs()).theta, 3, 600)
    ways = np.array([np.bincount(drawn, minlength=3) for drawn in combinations_with_replacement(range(3), 3)])
    possible = np.log((ways @ won) / (ways @ lost))
    nearest = np.abs(np.diff(-made.thetas, axis=1) - possible).argmin(axis=1)
    assert np.abs(np.diff(-made.thetas, axis=1)[:, 0] - possible[nearest]).max() < 1e-8
    expected = 600 * np.array([factorial(3) / np.prod([factorial(n) for n in way]) for way in ways]) / 27
    assert (
        (np.bincount(nearest, minlength=10) - expected) ** 2 / expected
    ).sum() < 27.9  # chi-square, 9 degrees, 1 in 1000


@pytest.mark.parametrize("size", [0, 1])
def test_fewer_than_two_models_have_nothing_to_resample(size: int) -> None:
    pairs = pairs_of(np.zeros((size, size)))
    made = bootstrap.multinomial(pairs, fit(pairs).theta, 1, 7)
    assert made.thetas.shape == (7, size) and not made.thetas.any()


rows = st.lists(st.tuples(st.permutations(range(4)).map(lambda order: order[:2]), st.integers(0, 3)), max_size=40)


@settings(deadline=None, max_examples=25)
@given(rows, st.randoms(use_true_random=False))
def test_neither_the_side_nor_the_order_of_the_battles_matters(battles: list, random: object) -> None:
    battles = battles + [((i, (i + 1) % 4), 2) for i in range(4)]
    mirror = (1, 0, 2, 3)
    turned = [((b, a), mirror[outcome]) if random.random() < 0.5 else ((a, b), outcome) for (a, b), outcome in battles]  # type: ignore[attr-defined]
    random.shuffle(turned)  # type: ignore[attr-defined]
    made = []
    for some in (battles, turned):
        a, b = zip(*[pair for pair, _ in some], strict=True)
        pairs = Tally.of_battles("abcd", a, b, [outcome for _, outcome in some]).pairs()
        made.append(bootstrap.multinomial(pairs, fit(pairs).theta, 1, 30).thetas)
    assert np.array_equal(*made)


def test_many_judges_take_bounded_memory_and_the_same_replicates_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 3, 900), rng.integers(3, 6, 900)
    tally = JudgeTally.of_battles("abcdef", a, b, rng.integers(0, 3, 900), rng.integers(0, 300, 900))
    theta = fit(tally.tally().pairs()).theta
    whole = bootstrap.clustered(tally, theta, 4, 200).thetas
    sizes: list[int] = []
    draw = resampling.Judges._multiplicities
    monkeypatch.setattr(resampling.Judges, "_multiplicities", lambda self, n: sizes.append(n) or draw(self, n))
    monkeypatch.setattr(resampling, "JUDGES_FLOATS", tally.judges * 60)
    parts = bootstrap.clustered(tally, theta, 4, 200).thetas
    assert sizes == [60, 60, 60, 20]
    assert np.median(parts.std(axis=0) / whole.std(axis=0)) == pytest.approx(1, abs=0.15)


def test_half_widths_on_real_votes_are_those_of_a_peer() -> None:
    reference = json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())
    expected = reference["llmfao_crowd"]["arena_rank_unweighted"]
    names, wins, ties = real_votes.outcomes(real_votes.file("llmfao_crowd.csv"))
    assert names == expected["competitors"]
    pairs = pairs_of(wins, ties)
    theta = fit(pairs).theta
    assert np.abs(to_rating(theta) - expected["ratings_exact_newton_mean1000"]).max() < 1e-6
    made = bootstrap.multinomial(pairs, theta, 1)
    lower, upper = bootstrap.percentiles(made.thetas)
    peer = expected["bootstrap_seed42_B1000"]
    ratio = PER_LOGIT * (upper - lower) / (np.array(peer["upper_97.5"]) - peer["lower_2.5"])
    assert made.helped == 0
    assert 0.98 < ratio.mean() < 1.02  # two independent sets of 1000 replicates
    assert np.all((ratio > 0.85) & (ratio < 1.15))


def test_a_hundred_models_take_a_fraction_of_a_second() -> None:
    rng = np.random.default_rng(8)
    pairs = davidson(rng, rng.normal(0, 0.8, 100), skewed(rng, 100, 1_000_000))
    theta = fit(pairs).theta
    begin = time.process_time()
    made = bootstrap.multinomial(pairs, theta, 1)
    assert time.process_time() - begin < 3.0  # 0.5 s on an idle core
    assert made.helped == 0
