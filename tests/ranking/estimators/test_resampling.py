"""The laws of what is resampled: moments and distribution functions against the exact ones, and bounded input."""

import numpy as np
import pytest
from scipy import stats

from ranking.estimators.judges import JudgeTally
from ranking.estimators.poisson_tables import PoissonTables
from ranking.estimators.resampling import Judges, Multinomial, Poisson
from ranking.estimators.tally import Pairs, Tally
from tests.ranking.estimators.simulated import davidson, even


def one_pair(won: float, lost: float, tied: float) -> Pairs:
    return Pairs(2, np.array([0]), np.array([1]), *(np.array([float(count)]) for count in (won, lost, tied, 0)))


@pytest.mark.parametrize("rate", [1, 2, 63, 64, 65, 200, 4096, 70_001, 262_144, 1_000_003])
@pytest.mark.parametrize("scale", [1.0, 0.9])
def test_poisson_numbers_have_the_poisson_law(rate: int, scale: float) -> None:
    """Every digit alone and together, and numpy's own method beyond: Kolmogorov-Smirnov and chi-square at level 1e-4."""
    drawn = np.sort(PoissonTables(np.array([rate]), scale, seed=rate).draw(40_000)[0])
    law = stats.poisson(rate * scale)
    values, counts = np.unique(drawn, return_counts=True)
    expected = law.cdf(values)
    assert np.abs(np.cumsum(counts) / len(drawn) - expected).max() < 2.23 / len(drawn) ** 0.5
    cuts = np.unique(law.ppf(np.linspace(0.05, 0.95, 19)))
    share = np.diff(np.concatenate([[0.0], law.cdf(cuts), [1.0]]))
    seen = np.bincount(np.searchsorted(cuts, drawn), minlength=len(share))
    assert stats.chisquare(seen, share * len(drawn)).pvalue > 1e-4


def test_slices_with_a_step_are_decided_by_further_bits() -> None:
    """Values much rarer than a slice (1 in 65,536) still come at their own rate."""
    drawn = PoissonTables(np.full(200, 1), 1.0, seed=5).draw(20_000)
    rare = stats.poisson(1).sf(7)  # 1 in 97,000
    assert 41 - 5 * 41**0.5 < (drawn > 7).sum() * (41 / (rare * drawn.size)) < 41 + 5 * 41**0.5


def test_cells_keep_their_own_rates_in_every_order() -> None:
    counts = np.array([7, 300, 64, 5000, 1, 129])
    tables = PoissonTables(counts, 1.0, seed=1)
    drawn = tables.draw(4000)
    error = (drawn.mean(axis=1) - counts[tables.order]) / (counts[tables.order] / 4000) ** 0.5
    assert np.abs(error).max() < 5
    assert np.abs(np.corrcoef(drawn) - np.eye(6)).max() < 5 / 4000**0.5


@pytest.mark.parametrize("counts", [(3, 2, 1), (40, 9, 20), (900, 30, 5000), (1, 0, 0), (60_000, 1, 3)])
def test_multinomial_replicates_have_the_data_s_total_and_the_multinomial_law(counts: tuple) -> None:
    total, size = sum(counts), 20_000
    up, down = Multinomial(one_pair(*counts), seed=3).draw(size)
    assert ((up + down) == total).all()
    chance = np.array(counts) / total
    mean = total * (chance[0] + chance[2] / 2)
    spread = total * (chance[0] + chance[2] / 4 - (chance[0] + chance[2] / 2) ** 2)
    assert abs(up.mean(dtype=float) - mean) <= 5 * (spread / size) ** 0.5
    assert up.var(dtype=float) == pytest.approx(spread, rel=0.06)
    if counts[2] == 0 or counts == (60_000, 1, 3):
        return
    law = stats.binom(2 * total, mean / (2 * total))  # only its ends: no point lies outside of what is possible
    assert law.support()[0] <= 2 * up.min() <= 2 * up.max() <= law.support()[1]


def test_counts_beyond_single_precision_stay_whole() -> None:
    """Thirty million battles of one pair, half of them tied: totals are exact, and so is the law of the points."""
    total = 30_000_001
    up, down = Multinomial(one_pair(9_000_000, 6_000_001, 15_000_000), seed=1).draw(300)
    assert up.dtype == np.float64 and ((up + down) == total).all() and (up % 1 == 0.5).any()
    chance = 16_500_000 / total
    spread = total * (9_000_000 / total + 15_000_000 / total / 4 - chance**2)
    assert abs(up.mean() - 16_500_000) < 5 * (spread / 300) ** 0.5
    assert up.var() == pytest.approx(spread, rel=0.4)


def test_multinomial_cells_are_binomial_one_by_one() -> None:
    pairs = davidson(np.random.default_rng(1), np.linspace(-1, 1, 4), even(4, 30), nu=0.0)
    up, down = Multinomial(pairs, seed=9).draw(20_000)
    assert ((up + down).sum(axis=0) == 180).all()
    for row, count in zip(np.concatenate([up, down]), np.concatenate([pairs.won, pairs.lost]), strict=True):
        law = stats.binom(180, count / 180)
        values = np.arange(181)
        assert np.abs((row[:, None] <= values).mean(axis=0) - law.cdf(values)).max() < 2.23 / 20_000**0.5


def test_poisson_replicates_vary_in_their_total() -> None:
    up, down = Poisson(one_pair(50, 30, 20), seed=4).draw(20_000)
    total = (up + down).astype(float)
    assert total.mean() == pytest.approx(100, abs=0.4) and total.var() == pytest.approx(100, rel=0.06)
    assert up.mean(dtype=float) == pytest.approx(60, abs=0.3) and up.var(dtype=float) == pytest.approx(55, rel=0.06)


def test_judges_are_drawn_whole() -> None:
    """Two judges who always agree with themselves: 0, 10 or 20 points, never anything between."""
    battles = [0] * 20, [1] * 20, [0] * 10 + [1] * 10, [0] * 10 + [1] * 10
    tally = JudgeTally.of_battles("ab", *battles)
    up, down = Judges(tally, tally.tally().pairs(), seed=2).draw(4000)
    assert set(np.unique(up).tolist()) == {0.0, 10.0, 20.0} and ((up + down) == 20).all()
    assert np.mean(up == 10) == pytest.approx(0.5, abs=0.04)


def test_judges_with_a_battle_each_are_the_multinomial() -> None:
    rng = np.random.default_rng(6)
    a, b, outcome = rng.integers(0, 2, 400), rng.integers(2, 4, 400), rng.integers(0, 4, 400)
    tally = JudgeTally.of_battles("abcd", a, b, outcome, np.full(400, -1))
    pairs = Tally.of_battles("abcd", a, b, outcome).pairs()
    clustered, plain = Judges(tally, pairs, 1).draw(5000)[0], Multinomial(pairs, 1).draw(5000)[0]
    assert np.allclose(clustered.mean(axis=1), pairs.points, atol=0.6)
    assert np.allclose(np.cov(clustered), np.cov(plain), atol=5.0)


@pytest.mark.parametrize("count", [0.5, -1.0])
def test_only_whole_counts_are_resampled(count: float) -> None:
    for law in (Multinomial, Poisson):
        with pytest.raises(ValueError, match="whole counts"):
            law(one_pair(3, 2, count), seed=1)
