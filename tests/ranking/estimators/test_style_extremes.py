"""Style control where coefficients are large and covariates have long tails: a maximum is found, and none is made up."""

import numpy as np
import pytest
from scipy.special import expit

from ranking.estimators import style
from ranking.estimators.bradley_terry import NotConverged
from ranking.estimators.style import Style
from ranking.estimators.style_rows import Chunk, Rows, gather


def slope(rows: Rows, fitted: Style) -> np.ndarray:
    """(K + F,) of the half-win likelihood, by hand."""
    columns = rows.columns / fitted.scale[:, None]
    logit = (fitted.theta[rows.first] - fitted.theta[rows.second])[rows.pair] + fitted.beta @ columns
    residual = rows.half_points / 2 - expit(logit)
    sides = [((rows.first == m).astype(int) - (rows.second == m))[rows.pair] for m in range(rows.size)]
    return np.array([*sides, *columns]) @ residual


def test_a_step_that_would_go_too_far_is_shortened() -> None:
    """Nine battles on which Newton with whole steps wanders for ever; the maximum is at 18 and -14 logits."""
    a, b = [0, 2, 2, 2, 0, 2, 0, 0, 1], [1, 0, 0, 0, 2, 0, 1, 1, 0]
    x = [[50.3, -0.6], [1, 1.3], [-1.7, 0.2], [0, 0], [-0.1, 1.2], [1.9, -9.2], [0.7, -0.4], [-0.8, 0.7], [-1, 187.5]]
    rows = gather("abc", ["f", "g"], [Chunk(a, b, [0, 1, 1, 0, 1, 0, 1, 1, 0], x)])
    fitted = style.fit(rows)
    assert np.abs(slope(rows, fitted)).max() < 1e-8 and np.abs(fitted.beta).min() > 10


def test_outcomes_separated_by_what_two_covariates_hardly_differ_in_are_refused() -> None:
    """Newton settles at 6e7 logits, where the likelihood is flat to the last digit: that is no maximum."""
    rng = np.random.default_rng(2)
    a, more = rng.integers(0, 3, 300), rng.integers(1, 3, 300)
    u, v = rng.normal(size=(2, 300))
    x = np.column_stack([u, u + 1e-4 * v])
    with pytest.raises(NotConverged, match="separate"):
        style.fit(gather("abc", ["f", "g"], [Chunk(a, (a + more) % 3, np.where(v > 0, 0, 1), x)]))


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_maximum_that_exists_is_found_however_far_out_and_whatever_the_tails(seed: int) -> None:
    """Covariates from .01 to 100 that decide nearly every battle, and coefficients of tens of logits."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 3, 60)
    x = rng.normal(size=60) * np.exp(2 * rng.normal(size=60))
    won = rng.random(60) < expit(8 * x)
    won[:6], x[:6] = [True, False] * 3, [-0.02, 0.02] * 3  # contradict the rest, so that nothing is separated
    rows = gather("abc", ["f"], [Chunk(a, (a + 1 + np.arange(60) % 2) % 3, np.where(won, 0, 1), x[:, None])])
    fitted = style.fit(rows)
    assert fitted.beta[0] > 10 and np.abs(slope(rows, fitted)).max() < 1e-6
