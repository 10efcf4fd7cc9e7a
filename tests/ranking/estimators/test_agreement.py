"""Agreement and kappas: statsmodels, hand-made cases, coverage, and what is undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa

from ranking.estimators import agreement
from ranking.estimators.agreement import Labels

seeds = st.integers(0, 2**32 - 1)


def panel(rng: np.random.Generator, battles: int, raters: int, noise: float = 0.4) -> np.ndarray:
    """(battles, raters) labels 0, 1 or 2: the truth, or with probability `noise` anything."""
    truth = rng.choice(3, battles, p=[0.5, 0.3, 0.2])
    return np.where(rng.random((battles, raters)) < noise, rng.integers(0, 3, (battles, raters)), truth[:, None])


def long(table: np.ndarray, first_rater: int = 0) -> Labels:
    battles, raters = table.shape
    return Labels.of(
        np.repeat(np.arange(battles), raters), np.tile(np.arange(raters) + first_rater, battles), table.ravel()
    )


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(20, 80))
def test_two_raters_are_cohens_kappa(seed: int, battles: int) -> None:
    table = panel(np.random.default_rng(seed), battles, 2)
    one, other = long(table[:, :1]), long(table[:, 1:], 9)
    found = agreement.between(one, other, seed=1, replicates=50)
    counts = np.zeros((3, 3))
    np.add.at(counts, (table[:, 0], table[:, 1]), 1)
    assert found.kappa == pytest.approx(cohens_kappa(counts).kappa, abs=1e-12)
    assert found.share == pytest.approx((table[:, 0] == table[:, 1]).mean()) and found.pairs == found.battles == battles
    turned = agreement.between(other, one, seed=1, replicates=50)
    assert (turned.share, turned.kappa) == (pytest.approx(found.share), pytest.approx(found.kappa))


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(20, 60), st.integers(2, 5))
def test_a_panel_is_fleiss_kappa(seed: int, battles: int, raters: int) -> None:
    table = panel(np.random.default_rng(seed), battles, raters)
    found = agreement.among(long(table), seed=1, replicates=50)
    assert found.kappa == pytest.approx(fleiss_kappa(aggregate_raters(table, 3)[0]), abs=1e-12)
    assert found.pairs == battles * raters * (raters - 1) / 2


def test_every_battle_counts_once() -> None:
    """Battle 0: crowd says 0, three experts say 0, 0, 1 (2/3); battle 1: 1 against 1; battle 2 has no expert."""
    crowd = Labels.of([0, 1, 2], [0, 0, 0], [0, 1, 1])
    experts = Labels.of([0, 0, 0, 1], [5, 6, 7, 5], [0, 0, 1, 1])
    found = agreement.between(crowd, experts, 1)
    assert found.share == pytest.approx((2 / 3 + 1) / 2) and (found.battles, found.pairs) == (2, 4)
    chance = 0.5 * (2 / 3 / 2) + 0.5 * ((1 / 3 + 1) / 2)
    assert found.kappa is None and found.why  # half of the resamples of two battles hold one label
    both = np.arange(20)[:, None]
    crowd, experts = (
        Labels.of((part.battle + 3 * both).ravel(), np.tile(part.rater, 20), np.tile(part.label, 20))
        for part in (crowd, experts)
    )
    again = agreement.between(crowd, experts, 1)
    assert again.share == pytest.approx(found.share) and again.battles == 40
    assert again.kappa == pytest.approx((again.share - chance) / (1 - chance))
    inside = agreement.among(experts, 1)
    assert inside.share == pytest.approx(1 / 3) and (inside.battles, inside.pairs) == (20, 60)


def test_intervals_cover() -> None:
    """Truth by a large panel of the same kind; 200 studies of 120 battles with three raters each."""
    rng = np.random.default_rng(2)
    truth = agreement.among(long(panel(rng, 200_000, 3)), 1, replicates=1)
    both = agreement.between(*(long(t) for t in np.split(panel(rng, 200_000, 2), 2, axis=1)), 1, replicates=1)
    inside = []
    for study in range(200):
        table = panel(rng, 120, 3)
        found = agreement.among(long(table), study, replicates=300)
        pair = agreement.between(long(table[:, :1]), long(table[:, 1:], 9), study, replicates=300)
        inside.append(
            [
                found.lower < truth.share < found.upper,
                found.kappa_lower < truth.kappa < found.kappa_upper,
                pair.lower < both.share < pair.upper,
                pair.kappa_lower < both.kappa < pair.kappa_upper,
            ]
        )
    assert np.all(np.mean(inside, axis=0) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200) - 0.01)
    assert np.all(np.mean(inside, axis=0) < 0.995)


def test_labels_of_one_battle_belong_together() -> None:
    """Ten raters who copy each other within a battle are no ten battles: the interval is as wide as with two."""
    rng = np.random.default_rng(3)
    split = rng.random(60) < 0.5
    few = np.where(split[:, None], [[0, 0]], [[0, 1]])
    many = np.where(split[:, None], np.zeros((1, 10), int), np.arange(10)[None, :] % 2)
    widths = [found.upper - found.lower for found in (agreement.among(long(t), 1) for t in (few, many))]
    assert widths[1] > 0.4 * widths[0]


def test_parts_of_the_labels() -> None:
    labels = Labels.of([0, 0, 1, 1, 2, 2], [1, 2, 1, 2, 1, 2], [0, 0, 1, 0, 2, 0])
    assert agreement.among(labels, 1).share == pytest.approx(1 / 3)
    assert agreement.among(labels.only([0, 1]), 1).share == pytest.approx(1 / 2)
    found = agreement.between(labels.by([1]), labels.by([2]), 1)
    assert found.share == pytest.approx(1 / 3) and found.battles == 3


def test_what_is_undefined_is_none_with_a_reason() -> None:
    one, other = Labels.of([0, 1], [0, 0], [0, 1]), Labels.of([2, 3], [1, 1], [0, 1])
    apart = agreement.between(one, other, 1)
    assert (apart.share, apart.kappa, apart.battles) == (None, None, 0) and "both" in apart.why
    alone = agreement.among(one, 1)
    assert alone.share is None and "two of them" in alone.why
    same = agreement.among(Labels.of([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]), 1)
    assert same.share == 1 and same.kappa is None and "same" in same.why
    empty = Labels.of([], [], [])
    assert agreement.between(empty, one, 1).share is None and agreement.among(empty, 1).share is None


def test_the_seed_decides() -> None:
    labels = long(panel(np.random.default_rng(4), 50, 3))
    assert agreement.among(labels, 1) == agreement.among(labels, 1) != agreement.among(labels, 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0, 1], [0], [0, 1]), "one length"),
        (([0], [0], [-1]), "negative"),
        (([0, 0], [3, 3], [0, 1]), "twice"),
    ],
)
def test_malformed_labels_are_errors(columns: tuple[list[int], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Labels.of(*columns)
