"""Does a law of ties have a finite estimate? Against linear programming: a direction in which no likelihood falls (Albert and
Anderson 1984)."""

import numpy as np
import pytest
from scipy.optimize import linprog

from ranking.estimators import outcomes, style
from ranking.estimators.bradley_terry import NotConverged
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.outcomes import NoEstimate
from ranking.estimators.position import estimate
from ranking.estimators.rao_kupper import RAO_KUPPER
from ranking.estimators.style_rows import Chunk
from ranking.estimators.tally import Pairs, Tally


def davidson_exists(pairs: Pairs) -> bool:
    """No (delta, eta) gives every outcome seen of a pair at least the logit of its other outcomes, and one of them more."""
    rows = []
    for i, j, *ended in zip(pairs.first, pairs.second, pairs.won, pairs.lost, pairs.tied, strict=True):
        logits = np.zeros((3, pairs.size + 1))
        logits[0, i] = logits[1, j] = logits[2, -1] = 1
        logits[2, [i, j]] = 0.5
        rows += [logits[r] - logits[seen] for seen in np.flatnonzero(ended) for r in range(3) if r != seen]
    bounds = [(0, 0)] + [(-1, 1)] * pairs.size
    return bool(linprog(np.sum(rows, axis=0), A_ub=np.array(rows), b_ub=np.zeros(len(rows)), bounds=bounds).fun > -1e-9)


def test_small_boards_are_refused_exactly_where_there_is_no_maximum() -> None:
    """A win and a tie but never a loss: strongly connected, and yet both the gap and the tie parameter grow for ever."""
    rng, seen = np.random.default_rng(8), {True: 0, False: 0}
    for _board in range(300):
        size, battles = int(rng.integers(2, 5)), int(rng.integers(2, 14))
        a = rng.integers(0, size, battles)
        b = (a + rng.integers(1, size, battles)) % size
        tally = Tally.of_battles("abcd"[:size], a, b, rng.choice(3, battles, p=[0.4, 0.2, 0.4]))
        if len(set(a) | set(b)) < size:
            continue
        exists = davidson_exists(tally.pairs())
        seen[exists] += 1
        if exists:
            fitted = outcomes.fit(DAVIDSON, tally)
            assert np.isfinite(fitted.deviations).all() and np.abs(fitted.theta).max() < 15
        else:
            with pytest.raises(NoEstimate):
                outcomes.fit(DAVIDSON, tally)
            with pytest.raises(NoEstimate):
                outcomes.fit(RAO_KUPPER, tally)
    assert min(seen.values()) > 50


def test_a_position_that_decides_every_battle_is_refused() -> None:
    tally = Tally.of_battles("abc", [0, 1, 1, 2, 2, 0] * 3, [1, 0, 2, 1, 0, 2] * 3, [0] * 18)
    with pytest.raises(NoEstimate):
        estimate(tally)


@pytest.mark.parametrize("battles", [12, 60, 600])
def test_a_covariate_that_separates_some_battles_is_refused(battles: int) -> None:
    """It is 0 in half of the battles, and has the winner's sign in the others."""
    rng = np.random.default_rng(battles)
    a = rng.integers(0, 3, battles)
    b = (a + rng.integers(1, 3, battles)) % 3
    outcome = rng.integers(0, 2, battles)
    x = np.where(rng.random(battles) < 0.5, 0.0, (1 - 2.0 * outcome) * rng.uniform(0.1, 1, battles))
    with pytest.raises(NotConverged):
        style.control("abc", ["x"], [Chunk(a, b, outcome, x[:, None])])
