"""Existence of the estimate: strong connection, the group that can be fitted, and the labels of the rest."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import connectivity
from ranking.estimators.connectivity import Standing
from ranking.estimators.tally import Pairs

graphs = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 7), st.floats(0.05, 0.9))


def graph(seed: int, size: int, density: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.integers(1, 5, (size, size)) * (rng.random((size, size)) < density)
    np.fill_diagonal(points, 0)
    return points.astype(float)


def closure(points: np.ndarray) -> np.ndarray:
    """[i, j]: a path of wins leads from i to j, by repeated squaring."""
    reach = (points > 0) | np.eye(len(points), dtype=bool)
    for _ in points:
        reach = reach @ reach
    return reach


@settings(deadline=None, max_examples=150)
@given(graphs)
def test_connection_groups_and_labels_agree_with_the_closure(arguments: tuple) -> None:
    points = graph(*arguments)
    pairs, reach = Pairs.of_points(points), closure(points)
    assert connectivity.connected(pairs) == reach.all()
    group = connectivity.ranked_group(pairs)
    mutual = reach & reach.T
    assert len(group.members) == (mutual.sum(axis=1).max() if mutual.sum(axis=1).max() > 1 else 0)
    if len(group.members):
        inside = group.members[0]
        names = {(1, 1): "ranked", (1, 0): "unbeaten", (0, 1): "winless", (0, 0): "disconnected"}
        expected = [names[int(reach[i, inside]), int(reach[inside, i])] for i in range(len(points))]
        assert [str(one) for one in group.standing] == expected
    else:
        assert set(group.standing) == {Standing.DISCONNECTED}


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(1, 140), st.floats(0.3, 0.95))
def test_many_graphs_at_once_are_each_of_them_alone(seed: int, size: int, count: int, density: float) -> None:
    rng, (first, second) = np.random.default_rng(seed), np.triu_indices(size, 1)
    up, down = (rng.random((len(first), count)) < density for _ in range(2))
    alone = [connectivity.strongly_connected(size, first, second, *pair) for pair in zip(up.T, down.T, strict=True)]
    assert connectivity.each_connected(size, first, second, up, down).tolist() == alone


def test_the_larger_group_wins_then_the_one_with_more_battles_then_the_first() -> None:
    points = np.zeros((6, 6))
    for i, j, count in ((0, 1, 1.0), (2, 3, 5.0), (4, 5, 1.0)):
        points[i, j] = points[j, i] = count
    assert connectivity.ranked_group(Pairs.of_points(points)).members.tolist() == [2, 3]
    points[2, 3] = points[3, 2] = 1.0
    assert connectivity.ranked_group(Pairs.of_points(points)).members.tolist() == [0, 1]
    points[4, 0] = points[0, 4] = 1.0
    assert connectivity.ranked_group(Pairs.of_points(points)).members.tolist() == [0, 1, 4, 5]


def test_models_outside_the_ranked_group_say_why() -> None:
    points = np.zeros((6, 6))
    points[1, 2] = points[2, 1] = 3  # the group
    points[0, 1] = 2  # took everything from it
    points[2, 3] = 2  # took nothing from it
    points[4, 5] = points[5, 4] = 1  # met only each other
    group = connectivity.ranked_group(Pairs.of_points(points))
    assert group.members.tolist() == [1, 2]
    ranked, apart = [Standing.RANKED] * 2, [Standing.DISCONNECTED] * 2
    assert list(group.standing) == [Standing.UNBEATEN, *ranked, Standing.WINLESS, *apart]


def test_no_votes_and_one_sided_votes_give_no_group() -> None:
    assert not len(connectivity.ranked_group(Pairs.of_points(np.zeros((0, 0)))).members)
    one_sided = connectivity.ranked_group(Pairs.of_points(np.array([[0.0, 3.0], [0.0, 0.0]])))
    assert not len(one_sided.members)
    assert set(one_sided.standing) == {Standing.DISCONNECTED}
