"""The estimate against its own equations, its symmetries, and an independent implementation."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import bradley_terry as bt
from ranking.estimators.bradley_terry import Standing
from tests.ranking import real_votes


def connected(seed: int, k: int, most: int = 9) -> np.ndarray:
    """Random points in halves; the ring of half points makes the graph strongly connected."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 2 * most, size=(k, k)) / 2.0 * (rng.random((k, k)) < 0.6)
    np.fill_diagonal(points, 0.0)
    for i in range(k):
        points[i, (i + 1) % k] += 0.5
        points[(i + 1) % k, i] += 0.5
    return points


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
    theta = bt.fit(points)
    chance = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    expected = ((points + points.T) * chance).sum(axis=1)
    assert np.allclose(points.sum(axis=1), expected, atol=1e-7)
    assert abs(theta.mean()) < 1e-12


@settings(deadline=None, max_examples=40)
@given(graphs, st.randoms(use_true_random=False))
def test_relabelling_the_models_relabels_the_estimate(points: np.ndarray, random: object) -> None:
    order = np.array(random.sample(range(len(points)), len(points)))  # type: ignore[attr-defined]
    assert np.allclose(bt.fit(points[np.ix_(order, order)]), bt.fit(points)[order], atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_turning_every_outcome_round_turns_the_estimate_round(points: np.ndarray) -> None:
    assert np.allclose(bt.fit(points.T), -bt.fit(points), atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_equal_to_the_binomial_regression_of_statsmodels(points: np.ndarray) -> None:
    difference = bt.to_rating(bt.fit(points)) - bt.to_rating(glm(points))
    assert np.abs(difference).max() < 1e-6


@settings(deadline=None, max_examples=30)
@given(graphs, st.integers(0, 9))
def test_the_start_of_the_iteration_does_not_matter(points: np.ndarray, seed: int) -> None:
    start = np.random.default_rng(seed).normal(0, 5, len(points))
    assert np.allclose(bt.fit_many(points[None], start)[0], bt.fit(points), atol=1e-8)


@pytest.mark.parametrize("odds", [1e3, 1e6, 1e9])
def test_lopsided_pairs_converge_to_the_closed_form(odds: float) -> None:
    theta = bt.fit(np.array([[0.0, odds], [1.0, 0.0]]))
    assert theta[0] - theta[1] == pytest.approx(np.log(odds), rel=1e-10)


def test_the_scale_is_400_points_for_odds_of_ten_to_one() -> None:
    rating = bt.to_rating(bt.fit(np.array([[0.0, 10.0], [1.0, 0.0]])))
    assert rating == pytest.approx([1200.0, 800.0])


def test_a_ring_of_wins_is_connected_and_a_chain_is_not() -> None:
    ring = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=float)
    chain = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=float)
    assert bt.strongly_connected(np.stack([ring, chain])).tolist() == [True, False]


def test_models_outside_the_ranked_group_say_why() -> None:
    points = np.zeros((6, 6))
    points[1, 2] = points[2, 1] = 3  # the group
    points[0, 1] = 2  # took everything from it
    points[2, 3] = 2  # took nothing from it
    points[4, 5] = points[5, 4] = 1  # met only each other
    group = bt.ranked_group(points)
    assert group.members.tolist() == [1, 2]
    ranked, apart = [Standing.RANKED] * 2, [Standing.DISCONNECTED] * 2
    assert list(group.standing) == [Standing.UNBEATEN, *ranked, Standing.WINLESS, *apart]


def test_no_votes_and_one_sided_votes_give_no_group() -> None:
    assert not len(bt.ranked_group(np.zeros((0, 0))).members)
    one_sided = bt.ranked_group(np.array([[0.0, 3.0], [0.0, 0.0]]))
    assert not len(one_sided.members)
    assert set(one_sided.standing) == {Standing.DISCONNECTED}


def test_a_chain_is_refused_and_never_answered_with_a_number() -> None:
    with pytest.raises(bt.NotConverged):
        bt.fit(np.array([[0.0, 3.0], [0.0, 0.0]]))


def test_a_group_is_the_limit_of_the_whole_likelihood() -> None:
    """An unbeaten model's battles stop mattering: weaker and weaker losses lead to the group's own estimate."""
    points = connected(5, 4)
    whole = np.zeros((5, 5))
    whole[:4, :4] = points
    whole[4, :4] = 3.0
    whole[0, 4] = 1e-9
    inner = bt.fit_many(whole[None], tolerance=1e-9)[0][:4]
    assert np.allclose(inner - inner.mean(), bt.fit(points), atol=1e-6)


@pytest.mark.parametrize("name", ["llmfao_crowd", "llmfao_gpt4"])
def test_real_votes_agree_with_statsmodels(name: str) -> None:
    _names, wins, ties = real_votes.outcomes(real_votes.file(f"{name}.csv"))
    points = wins + ties / 2
    group = bt.ranked_group(points)
    inner = points[np.ix_(group.members, group.members)]
    assert len(group.members) > 40
    assert np.abs(bt.to_rating(bt.fit(inner)) - bt.to_rating(glm(inner))).max() < 1e-6
