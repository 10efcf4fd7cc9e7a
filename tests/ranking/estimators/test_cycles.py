"""Cyclic triads and goodness of fit: counted as by hand, level on true scales, found where there are cycles."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from ranking.estimators import cycles, outcomes
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.half_win import DROP
from ranking.estimators.tally import Tally
from tests.ranking.estimators import law_battles

THETA = np.linspace(-0.6, 0.6, 7)


def twisted(rng: np.random.Generator, count: int, twist: float) -> Tally:
    """Battles on a true scale, pulled by `twist` logits: each model over the three that follow it in a circle."""
    a = rng.integers(0, 7, count)
    b = (a + rng.integers(1, 7, count)) % 7
    logit = THETA[a] - THETA[b] + np.where((b - a) % 7 <= 3, twist, -twist)
    won = rng.random(count) < 1 / (1 + np.exp(-logit))
    return Tally.of_battles([f"m{i}" for i in range(7)], a, b, np.where(won, 0, 1))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(3, 7))
def test_triads_are_counted_as_by_hand(seed: int, k: int) -> None:
    tally = law_battles.ring(seed, k)
    found, met = cycles.judge(tally, seed=1, boards=9), tally.pairs()
    lead = np.zeros((k, k))
    lead[met.first, met.second] = met.won - met.lost
    lead -= lead.T
    cyclic, triads = [], 0
    for i, j, m in combinations(range(k), 3):
        signs = np.sign([lead[i, j], lead[j, m], lead[m, i]])
        triads += bool(np.all(signs != 0))
        if abs(signs.sum()) == 3:
            cyclic.append((i, j, m))
    assert (found.observed, found.triads) == (len(cyclic), triads)
    assert {tuple(sorted(one)) for one in found.examples} <= set(cyclic) and len(found.examples) == min(len(cyclic), 10)
    assert all(lead[a, b] > 0 and lead[b, c] > 0 and lead[c, a] > 0 for a, b, c in found.examples)


@pytest.mark.parametrize("tied", [True, False])
def test_p_values_are_level_on_a_true_scale(tied: bool) -> None:
    """Of a count they are a little large (ties of counts), never small; the deviance's are about uniform."""
    rng, triads, deviances = np.random.default_rng(1), [], []
    for board in range(100):
        tally = law_battles.battles(rng, DAVIDSON if tied else DROP, THETA, 900, -0.4 if tied else None)
        found = cycles.judge(tally, seed=board, boards=99)
        triads.append(found.p_value)
        deviances.append(found.deviance_p)
        assert found.law == ("Davidson" if tied else "drop")
    for level in (0.05, 0.1, 0.2):
        assert np.mean(np.array(triads) <= level) < level + 3 * np.sqrt(level / 100)
    assert kstest(deviances, "uniform").pvalue > 0.001


def test_a_cycle_is_found_and_named() -> None:
    found = cycles.judge(twisted(np.random.default_rng(2), 6_000, 0.6), seed=1, boards=199)
    assert found.p_value == found.deviance_p == 1 / 200 and found.observed > found.expected + 4 * found.deviation
    assert len(found.examples) == min(found.observed, 10) and found.observed <= found.triads == 35
    straight = cycles.judge(twisted(np.random.default_rng(3), 6_000, 0.0), seed=1, boards=199)
    assert straight.p_value > 0.05 and straight.deviance_p > 0.05


def test_the_pair_that_does_not_fit_has_the_largest_deviance() -> None:
    tally = twisted(np.random.default_rng(4), 6_000, 0.0)
    odd = Tally.of_battles(tally.models, [0] * 60, [6] * 60, [0] * 60)
    cells = {name: np.concatenate([getattr(t, name) for t in (tally, odd)]) for name in ("first", "second", "outcome")}
    times = np.concatenate([tally.count, odd.count]).astype(int)
    found = cycles.judge(Tally.of_battles(tally.models, *(np.repeat(cells[n], times) for n in cells)), 1, 99)
    assert found.pairs[np.argmax(found.pair_deviance)].tolist() == [0, 6] and found.deviance_p == 0.01


def test_the_deviance_is_twice_the_distance_to_the_saturated_likelihood() -> None:
    tally = law_battles.battles(np.random.default_rng(4), DAVIDSON, THETA, 2_000, -0.4)
    found, met = cycles.judge(tally, 1, 9), tally.pairs()
    counts = np.stack([met.won, met.lost, met.tied])
    shares = counts / counts.sum(axis=0)
    saturated = (counts * np.log(np.where(counts > 0, shares, 1))).sum()
    assert found.deviance == pytest.approx(2 * (saturated - outcomes.fit(DAVIDSON, tally).log_likelihood), rel=1e-9)
    assert found.pair_deviance.sum() == pytest.approx(found.deviance) and (found.pair_deviance >= -1e-9).all()


def test_the_same_seed_gives_the_same_answer() -> None:
    tally = law_battles.battles(np.random.default_rng(5), DAVIDSON, THETA, 500, -0.4)
    one, again, other = (cycles.judge(tally, seed, 99) for seed in (1, 1, 2))
    assert (one.expected, one.p_value, one.deviance_p) == (again.expected, again.p_value, again.deviance_p)
    assert (one.expected, one.deviance_p) != (other.expected, other.deviance_p)


def test_boards_of_many_models_are_drawn_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory: 64 boards of 400 models took 320 MB."""
    sizes, counted = [], cycles._cyclic

    def seen(board: cycles._Board, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(len(counts))
        return counted(board, counts)

    monkeypatch.setattr(cycles, "ROOM", 7 * 7 * 5)
    monkeypatch.setattr(cycles, "_cyclic", seen)
    found = cycles.judge(twisted(np.random.default_rng(3), 6_000, 0.0), seed=1, boards=99)
    assert sizes == [1, *[5] * 19, 4] and found.p_value > 0.05 and found.deviance_p > 0.05
