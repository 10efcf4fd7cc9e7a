"""The paper's rule, as it stands, and how little it sees."""

import numpy as np
import pytest
from scipy.stats import chi2

from ranking.detectors import fisher
from ranking.detectors.history import Ballots, History
from ranking.estimators.tally import Cell, Tally
from tests.ranking.detectors.voters import crowd


def test_p_values_by_hand() -> None:
    cells = [Cell("a", "b", "first", 6), Cell("a", "b", "second", 1), Cell("a", "b", "tie", 2)]
    history = History.of(Tally.of_cells(cells))
    found = fisher.p_values(history, Ballots.of([0, 0, 0, 1], [1, 1, 1, 0], [0, 1, 2, 0]))
    assert found == pytest.approx([7 / 10, 10 / 10, 9 / 10, 10 / 10])  # the last: b won as A, so a scored 0


def test_a_run_of_impossible_votes_is_flagged_and_the_looks_can_be_repeated() -> None:
    assert fisher.flags(np.full(100, 0.01), seed=3) and not fisher.flags(np.full(100, 1.0), seed=3)
    assert not fisher.flags(np.empty(0), seed=3)
    p = np.linspace(0.02, 0.9, 100)
    assert len({fisher.flags(p, seed=9) for _ in range(5)}) == 1


def test_the_five_looks_share_alpha_and_each_sees_the_votes_up_to_it() -> None:
    """Equal p-values: the bound of a look at j votes is reached at p = exp(-chi2 / 2j); the look with the mildest one decides."""
    for seed in range(20):
        looks = np.random.default_rng(seed).integers(1, 101, 5)
        bound = np.exp(-chi2.isf(0.1 / 5, 2 * looks) / (2 * looks)).max()
        assert fisher.flags(np.full(100, 0.999 * bound), seed) and not fisher.flags(np.full(100, 1.001 * bound), seed)


@pytest.mark.parametrize("kind", ["honest", "random", "rig", "anti-strong"])
def test_it_flags_nobody_as_published(kind: str) -> None:
    """Not a virtue: the table of the published simulation has .00 in every one of these columns, too."""
    flagged = [
        fisher.flags(fisher.p_values(world.history, ballots), seed)
        for seed, (world, ballots) in enumerate(crowd(kind, 100, seed=11))
    ]
    assert np.mean(flagged) <= 0.02
