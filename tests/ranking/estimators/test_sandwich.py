"""The covariance against statsmodels, against its own definition battle by battle, and its symmetries."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import sandwich
from ranking.estimators.bradley_terry import NotConverged, fit
from ranking.estimators.judges import JudgeTally
from ranking.estimators.tally import Outcome, Tally
from tests.ranking.estimators.simulated import even, half_win_tally

seeds = st.integers(0, 2**32 - 1)


def battles(seed: int, size: int = 5, count: int = 300, judges: int = 12) -> tuple[np.ndarray, ...]:
    """a, b, outcome, judge, probability: connected for any seed by a round of ties."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, size, count)
    b = (a + rng.integers(1, size, count)) % size
    outcome = rng.integers(0, 4, count)
    outcome[:size], a[:size] = Outcome.TIE, np.arange(size)
    b[:size] = (a[:size] + 1) % size
    return a, b, outcome, rng.integers(0, judges, count), rng.uniform(0.05, 1, count)


def by_rows(theta: np.ndarray, a: np.ndarray, b: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> tuple:
    """(N, K) scores and (K, K) information, row by row."""
    design = np.zeros((len(a), len(theta)))
    design[np.arange(len(a)), a], design[np.arange(len(a)), b] = 1, -1
    p = 1 / (1 + np.exp(-(design @ theta)))
    y = np.choose(outcome, [1.0, 0.0, 0.5, 0.5])
    return design * (weight * (y - p))[:, None], (design * (weight * p * (1 - p))[:, None]).T @ design


@settings(deadline=None, max_examples=30)
@given(seeds, st.booleans())
def test_by_battle_it_is_the_definition_row_by_row(seed: int, reweighted: bool) -> None:
    a, b, outcome, _judge, probability = battles(seed)
    tally = Tally.of_battles("abcde", a, b, outcome, probability)
    theta = fit(tally.pairs(reweighted)).theta
    scores, information = by_rows(theta, a, b, outcome, 1 / probability if reweighted else np.ones(len(a)))
    inverse = np.linalg.pinv(information)
    expected = inverse @ scores.T @ scores @ inverse
    assert np.allclose(sandwich.battle(tally, theta, reweighted).matrix, expected, rtol=1e-8, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_by_judge_it_is_the_definition_judge_by_judge(seed: int) -> None:
    a, b, outcome, judge, _ = battles(seed)
    tally = JudgeTally.of_battles("abcde", a, b, outcome, judge)
    theta = fit(tally.tally().pairs()).theta
    scores, information = by_rows(theta, a, b, outcome, np.ones(len(a)))
    sums = np.stack([scores[judge == one].sum(axis=0) for one in np.unique(judge)])
    inverse = np.linalg.pinv(information)
    expected = len(sums) / (len(sums) - 1) * inverse @ sums.T @ sums @ inverse
    made = sandwich.clustered(tally, theta)
    assert np.allclose(made.matrix, expected, rtol=1e-8, atol=1e-12)
    assert made.clusters == len(sums)


@pytest.mark.parametrize("by_judge", [False, True])
def test_standard_errors_of_differences_are_those_of_statsmodels(by_judge: bool) -> None:
    a, b, outcome, judge, _ = battles(7)
    design = np.zeros((len(a), 5))
    design[np.arange(len(a)), a], design[np.arange(len(a)), b] = 1, -1
    y = np.choose(outcome, [1.0, 0.0, 0.5, 0.5])
    options = {"cov_type": "cluster", "cov_kwds": {"groups": judge}} if by_judge else {"cov_type": "HC0"}
    fitted = sm.GLM(y, design[:, 1:], family=sm.families.Binomial()).fit(tol=1e-14, maxiter=200, **options)
    tally = JudgeTally.of_battles("abcde", a, b, outcome, judge)
    theta = fit(tally.tally().pairs()).theta
    made = sandwich.clustered(tally, theta) if by_judge else sandwich.battle(tally.tally(), theta)
    factor = 1.0
    if by_judge:  # it also multiplies by (N - 1) / (N - 4)
        factor = ((len(a) - 1) / (len(a) - 4)) ** 0.5
    others = np.arange(1, 5)
    assert made.se_of_difference(others, np.zeros(4, int)) * factor == pytest.approx(fitted.bse, rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(seeds, st.permutations(range(5)))
def test_relabelling_the_models_relabels_the_covariance(seed: int, order: list[int]) -> None:
    a, b, outcome, judge, _ = battles(seed)
    place = np.argsort(order)
    plain, moved = JudgeTally.of_battles("abcde", a, b, outcome, judge), None
    moved = JudgeTally.of_battles("abcde", place[a], place[b], outcome, judge)
    for method in (sandwich.clustered, lambda tally, theta: sandwich.battle(tally.tally(), theta)):
        first, second = (method(tally, fit(tally.tally().pairs()).theta).matrix for tally in (plain, moved))
        assert np.allclose(second, first[np.ix_(order, order)], rtol=1e-7, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(seeds, st.randoms(use_true_random=False))
def test_sides_and_order_do_not_matter(seed: int, random: object) -> None:
    rows = list(zip(*battles(seed)[:4], strict=True))
    turned = [(b, a, (1, 0, 2, 3)[outcome], judge) for a, b, outcome, judge in rows]
    random.shuffle(turned)  # type: ignore[attr-defined]
    made = []
    for some in (rows, turned):
        tally = JudgeTally.of_battles("abcde", *zip(*some, strict=True))
        made.append(sandwich.clustered(tally, fit(tally.tally().pairs()).theta).matrix)
    assert np.array_equal(*made)


def test_judges_of_one_battle_each_are_the_battle_covariance() -> None:
    a, b, outcome, _judge, _ = battles(3)
    tally = JudgeTally.of_battles("abcde", a, b, outcome, np.full(len(a), -1))
    theta = fit(tally.tally().pairs()).theta
    by_battle = sandwich.battle(tally.tally(), theta).matrix * len(a) / (len(a) - 1)
    assert np.allclose(sandwich.clustered(tally, theta).matrix, by_battle)


def test_it_has_no_ridge_and_its_gauge_is_the_mean() -> None:
    """Ten times the same votes: a tenth of the covariance, exactly; rows sum to zero."""
    tally = half_win_tally(np.random.default_rng(1), np.linspace(-2, 2, 6), even(6, 40))
    theta = fit(tally.pairs()).theta
    made = sandwich.battle(tally, theta).matrix
    ten = Tally(tally.models, tally.first, tally.second, tally.first_was_a, tally.outcome, *[tally.count * 10] * 3)
    assert np.allclose(sandwich.battle(ten, theta).matrix * 10, made, rtol=1e-10)
    assert np.abs(made.sum(axis=1)).max() < 1e-12 and np.linalg.eigvalsh(made).min() > -1e-12


def test_two_models_in_closed_form() -> None:
    """Wins, losses and ties 30, 10, 20: Var(theta_1 - theta_2) = sum (y - p)^2 / (n p q)^2."""
    outcome = np.repeat([0, 1, 2], [30, 10, 20])
    tally = Tally.of_battles("ab", np.zeros(60, int), np.ones(60, int), outcome)
    made = sandwich.battle(tally, fit(tally.pairs()).theta)
    p = 40 / 60
    variance = (30 * (1 - p) ** 2 + 10 * p**2 + 20 * (0.5 - p) ** 2) / (60 * p * (1 - p)) ** 2
    assert made.se_of_difference(np.array([0]), np.array([1]))[0] == pytest.approx(variance**0.5, rel=1e-12)
    assert made.se == pytest.approx([variance**0.5 / 2] * 2, rel=1e-9)


def test_what_cannot_be_computed_is_refused() -> None:
    tally = JudgeTally.of_battles("ab", [0, 0], [1, 1], [0, 1], [5, 5])
    with pytest.raises(sandwich.TooFewJudges):
        sandwich.clustered(tally, np.zeros(2))
    with pytest.raises(NotConverged):
        sandwich.battle(Tally.of_battles("abcd", [0, 2], [1, 3], [2, 2]), np.zeros(4))
