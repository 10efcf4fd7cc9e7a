"""What ballots are held against: probabilities of each pair, the same however models are numbered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.detectors.history import PRIOR, Ballots, History
from ranking.estimators.tally import Cell, Tally
from tests.ranking.detectors.voters import World


def test_a_pair_with_many_battles_speaks_for_itself_and_one_with_none_borrows() -> None:
    cells = [
        Cell("a", "b", "first", 600),
        Cell("a", "b", "second", 200),
        Cell("a", "b", "both_bad", 200),
        Cell("b", "c", "first", 600),
        Cell("b", "c", "second", 200),
        Cell("b", "c", "tie", 200),
    ]
    history = History.of(Tally.of_cells(cells, ["a", "b", "c"]))
    ab, ac, ba = history.of_each(Ballots.of([0, 0, 1], [1, 2, 0], [0, 0, 0]))
    assert ab == pytest.approx([0.6, 0.2, 0.2], abs=0.005)
    assert ba == pytest.approx(ab[[1, 0, 2]])
    assert ac[0] > 0.7 and ac[2] == pytest.approx(0.2, abs=0.02)  # never met: stronger than stronger


def test_what_all_pairs_say_is_worth_twenty_battles() -> None:
    history = History(np.zeros((2, 2, 3)), np.zeros(2), 0.25)
    history.ended[0, 1] = 20, 0, 0
    assert history.of_each(Ballots.of([0], [1], [0]))[0] == pytest.approx([(1 + 0.375) / 2, 0.375 / 2, 0.25 / 2])


def test_a_voters_own_ballots_are_taken_out() -> None:
    world = World.of(1)
    mine = world.voter("anti-strong", 60)
    others = world.history
    both = History(others.ended.copy(), others.strength, others.ties)
    np.add.at(both.ended, (mine.a, mine.b, mine.outcome), 1)
    np.add.at(both.ended, (mine.b, mine.a, np.array([1, 0, 2])[mine.outcome]), 1)
    assert np.array_equal(both.without(mine).ended, others.ended)
    assert (others.without(Ballots.of([0] * 900, [1] * 900, [0] * 900)).ended >= 0).all()


@given(st.integers(0, 3), st.permutations(range(20)))
def test_no_result_depends_on_how_models_are_numbered(seed: int, order: list[int]) -> None:
    world = World.of(seed)
    ballots = world.voter("honest", 30)
    place = np.argsort(order)  # model m is called place[m] now
    renamed = History(world.history.ended[np.ix_(order, order)], world.history.strength[order], world.history.ties)
    again = renamed.of_each(Ballots.of(place[ballots.a], place[ballots.b], ballots.outcome))
    assert again == pytest.approx(world.history.of_each(ballots))


def test_every_outcome_stays_possible() -> None:
    history = History.of(Tally.of_cells([Cell("a", "b", "first", 5000)]))
    chance = history.of_each(Ballots.of([0], [1], [0]))[0]
    assert chance.min() > 0 and chance.sum() == pytest.approx(1) and chance[0] > 0.97
    assert PRIOR > 0


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Ballots.of([0], [1, 2], [0])
