"""The estimate against its own equations, its symmetries, and an independent implementation."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import bradley_terry as bt
from ranking.estimators.bradley_terry import Prior
from ranking.estimators.tally import Outcome, Pairs, Tally
from tests.ranking.estimators.simulated import pairs_of


def connected(seed: int, k: int, most: int = 9) -> np.ndarray:
    """Random points in halves; the ring of half points makes the graph strongly connected."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 2 * most, size=(k, k)) / 2.0 * (rng.random((k, k)) < 0.6)
    np.fill_diagonal(points, 0.0)
    for i in range(k):
        points[i, (i + 1) % k] += 0.5
        points[(i + 1) % k, i] += 0.5
    return points


def fit(points: np.ndarray) -> np.ndarray:
    return bt.fit(Pairs.of_points(points)).theta


def glm(points: np.ndarray) -> np.ndarray:
    """The same likelihood in statsmodels: a binomial regression with the last model as the reference."""
    k = len(points)
    first, second = np.nonzero(np.triu(points + points.T))
    design = np.zeros((len(first), k))
    design[np.arange(len(first)), first] = 1
    design[np.arange(len(first)), second] = -1
    outcomes = np.column_stack([points[first, second], points[second, first]])
    outcomes, design = np.vstack([outcomes, outcomes]) / 2, np.vstack([design, design])  # it wants spare rows
    model = sm.GLM(outcomes, design[:, :-1], family=sm.families.Binomial())
    theta = np.append(model.fit(tol=1e-14, maxiter=200).params, 0.0)
    return theta - theta.mean()


graphs = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 12)).map(lambda args: connected(*args))


@settings(deadline=None, max_examples=60)
@given(graphs)
def test_the_estimate_solves_the_likelihood_equations(points: np.ndarray) -> None:
    theta = fit(points)
    chance = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    expected = ((points + points.T) * chance).sum(axis=1)
    assert np.allclose(points.sum(axis=1), expected, atol=1e-7)
    assert abs(theta.mean()) < 1e-12


@settings(deadline=None, max_examples=40)
@given(graphs, st.randoms(use_true_random=False))
def test_relabelling_the_models_relabels_the_estimate(points: np.ndarray, random: object) -> None:
    order = np.array(random.sample(range(len(points)), len(points)))  # type: ignore[attr-defined]
    assert np.allclose(fit(points[np.ix_(order, order)]), fit(points)[order], atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_turning_every_outcome_round_turns_the_estimate_round(points: np.ndarray) -> None:
    assert np.allclose(fit(points.T), -fit(points), atol=1e-9)


battles = st.lists(st.tuples(st.permutations(range(4)).map(lambda order: order[:2]), st.integers(0, 3)), max_size=60)


@settings(deadline=None, max_examples=40)
@given(battles, st.randoms(use_true_random=False))
def test_neither_the_side_nor_the_order_of_the_battles_matters(rows: list, random: object) -> None:
    ring = [((i, (i + 1) % 4), 2) for i in range(4)]
    rows = [((a, b), outcome) for (a, b), outcome in rows + ring]
    mirror = (1, 0, 2, 3)
    turned = [((b, a), mirror[outcome]) if random.random() < 0.5 else ((a, b), outcome) for (a, b), outcome in rows]  # type: ignore[attr-defined]
    random.shuffle(turned)  # type: ignore[attr-defined]
    thetas = []
    for some in (rows, turned):
        (a, b), outcome = zip(*[pair for pair, _ in some], strict=True), [outcome for _, outcome in some]
        thetas.append(bt.fit(Tally.of_battles("abcd", a, b, outcome).pairs()).theta)
    assert np.array_equal(*thetas)


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_equal_to_the_binomial_regression_of_statsmodels(points: np.ndarray) -> None:
    difference = bt.to_rating(fit(points)) - bt.to_rating(glm(points))
    assert np.abs(difference).max() < 1e-6


@settings(deadline=None, max_examples=30)
@given(graphs, st.integers(0, 9))
def test_the_start_of_the_iteration_does_not_matter(points: np.ndarray, seed: int) -> None:
    start = np.random.default_rng(seed).normal(0, 5, len(points))
    assert np.allclose(bt.fit(Pairs.of_points(points), start).theta, fit(points), atol=1e-8)


@pytest.mark.parametrize("odds", [1e3, 1e6, 1e9])
def test_lopsided_pairs_converge_to_the_closed_form(odds: float) -> None:
    theta = fit(np.array([[0.0, odds], [1.0, 0.0]]))
    assert theta[0] - theta[1] == pytest.approx(np.log(odds), rel=1e-10)


@pytest.mark.parametrize("odds", [1e3, 1e14])
def test_a_long_chain_of_lopsided_pairs_takes_as_many_steps_as_one_pair(odds: float) -> None:
    """The step is damped by what it does to pairs that have met, not by the range of the whole board (200 steps did not do)."""
    size = 300
    points = np.diag(np.full(size - 1, odds), 1) + np.diag(np.ones(size - 1), -1)
    found = bt.fit(Pairs.of_points(points))
    exact = -np.log(odds) * np.arange(size)
    np.testing.assert_allclose(found.theta, exact - exact.mean(), atol=1e-9)
    assert found.iterations <= bt.fit(Pairs.of_points(points[:2, :2])).iterations + 2
    finest = bt.fit(Pairs.of_points(points), tolerance=1e-15).theta  # of thousands of logits no float holds 1e-15
    np.testing.assert_allclose(finest, exact - exact.mean(), atol=1e-9)


def test_chances_beyond_what_floats_hold_stay_chances() -> None:
    p, q = bt.chances(np.array([0, 1]), np.array([1, 0]), np.array([900.0, -900.0]))
    assert p.tolist() == [1.0, q[0]] and q.tolist() == [p[1], 1.0] and 0 < q[0] < 1e-300


def test_the_scale_is_400_points_for_odds_of_ten_to_one() -> None:
    rating = bt.to_rating(fit(np.array([[0.0, 10.0], [1.0, 0.0]])))
    assert rating == pytest.approx([1200.0, 800.0])


def test_one_model_is_the_mean_and_none_is_nothing() -> None:
    assert [fit(np.zeros((size, size))).tolist() for size in (0, 1)] == [[], [0.0]]


def test_a_warm_fit_ends_where_it_begins() -> None:
    pairs = Pairs.of_points(connected(1, 12))
    cold = bt.fit(pairs)
    warm = bt.fit(pairs, cold.theta)
    assert np.allclose(warm.theta, cold.theta, atol=1e-12)
    assert warm.iterations == 1 < cold.iterations


def test_a_chain_is_refused_and_never_answered_with_a_number() -> None:
    for chain in (np.array([[0.0, 3.0], [0.0, 0.0]]), np.diag([2.0, 2.0], 1), np.zeros((3, 3))):
        with pytest.raises(bt.NoFiniteEstimate):
            fit(chain)


def test_a_named_prior_gives_every_model_a_finite_figure_and_is_named_in_the_answer() -> None:
    """Two models that never met, one unbeaten: one tied virtual battle each. The pair in closed form: 3.5 points of 4."""
    apart = np.zeros((3, 3))
    apart[0, 1] = 3.0
    fitted = bt.fit(Pairs.of_points(apart), prior=Prior.VIRTUAL_OPPONENT)
    assert fitted.prior is Prior.VIRTUAL_OPPONENT
    assert fitted.theta[0] > fitted.theta[2] > fitted.theta[1]
    assert fitted.theta.sum() == pytest.approx(0.0, abs=1e-12)
    assert fitted.theta[0] - fitted.theta[2] == pytest.approx(fitted.theta[2] - fitted.theta[1], abs=1e-9)
    gap = fitted.theta[0] - fitted.theta[2]  # its equation: 3 (1 - s(2 gap)) = s(gap) - 1 / 2
    assert 3 * (1 - 1 / (1 + np.exp(-2 * gap))) == pytest.approx(1 / (1 + np.exp(-gap)) - 0.5, abs=1e-9)
    assert bt.fit(Pairs.of_points(connected(3, 4))).prior is None


def test_the_prior_fades_as_votes_come_in() -> None:
    points = connected(3, 5)
    gaps = [
        np.abs(bt.fit(Pairs.of_points(points * scale), prior=Prior.VIRTUAL_OPPONENT).theta - fit(points)).max()
        for scale in (1, 100, 10_000)
    ]
    assert gaps[0] > 30 * gaps[1] > 900 * gaps[2]


def test_a_group_is_the_limit_of_the_whole_likelihood() -> None:
    """An unbeaten model's battles stop mattering: weaker and weaker losses lead to the group's own estimate."""
    points = connected(5, 4)
    whole = np.zeros((5, 5))
    whole[:4, :4] = points
    whole[4, :4] = 3.0
    whole[0, 4] = 1e-9
    inner = bt.fit(Pairs.of_points(whole), tolerance=1e-9).theta[:4]
    assert np.allclose(inner - inner.mean(), fit(points), atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(graphs)
def test_the_pseudo_inverse_is_that_of_moore_and_penrose(points: np.ndarray) -> None:
    pairs = Pairs.of_points(points)
    matrix = bt.information(pairs, bt.fit(pairs).theta)
    expected = np.linalg.pinv(matrix, rcond=1e-9)
    assert np.allclose(bt.pseudo_inverse(matrix), expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())


def test_reweighting_counts_each_battle_by_its_inverse_probability() -> None:
    """Paper eq. 7 by hand: three battles of probability 1/2 and one of 1/4 are six and four battles."""
    tally = Tally.of_battles("ab", [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1], [0.5, 0.5, 0.5, 0.25])
    theta = bt.fit(tally.pairs(reweighted=True)).theta
    assert theta[0] - theta[1] == pytest.approx(np.log(6 / 4), abs=1e-10)
    plain = bt.fit(tally.pairs()).theta
    assert plain[0] - plain[1] == pytest.approx(np.log(3), abs=1e-10)


def test_ties_are_half_a_win_each() -> None:
    wins, ties = np.array([[0.0, 6.0], [2.0, 0.0]]), np.array([[0.0, 4.0], [4.0, 0.0]])
    theta = bt.fit(pairs_of(wins, ties)).theta
    assert theta[0] - theta[1] == pytest.approx(np.log(8 / 4), abs=1e-10)
    bad = Tally.of_battles(
        "ab", [0] * 5, [1] * 5, [Outcome.FIRST] * 2 + [Outcome.TIE, Outcome.BOTH_BAD, Outcome.BOTH_BAD]
    )
    theta = bt.fit(bad.pairs()).theta
    assert theta[0] - theta[1] == pytest.approx(np.log(3.5 / 1.5), abs=1e-10), "and so is both bad"
