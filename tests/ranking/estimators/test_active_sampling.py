"""Equation 9 of Chatbot Arena: the weights by hand, the floor, and what it saves in the paper's own setting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.estimators import active_sampling
from ranking.estimators.tally import Cell, Floats, Outcome, Tally

# Votes per model in figure 10 of the paper (every third of the 32 that it prints): how unevenly an arena asks.
EXPOSURE = np.array([29779, 22849, 17513, 14784, 11826, 10471, 7929, 7329, 7018, 6206, 5961], float)
SPREAD = 2.6  # logits between the best and the worst model: the 450 points between its gpt-4-turbo and dolly-12b
WIDTH, Z, BATCH, MOST = 0.2, 1.959964, 100, 60_000


def test_the_weight_is_how_much_one_more_battle_narrows_the_interval() -> None:
    cells = [Cell("a", "b", "first", 3), Cell("a", "b", "second", 1), Cell("a", "b", "both_bad", 2)]
    found = active_sampling.weights(Tally.of_cells(cells, ["a", "b", "c"]).pairs())
    mean, square = (3 + 2 / 2 + 0.5) / 7, (3 + 2 / 4 + 0.5) / 7  # with the virtual battle
    deviation = np.sqrt(square - mean**2)
    assert found == pytest.approx(
        [deviation * (7**-0.5 - 8**-0.5)] + [0.5 * (1 - 2**-0.5)] * 2  # a-b, and the two pairs that never met
    )


def test_battles_and_certainty_make_a_pair_less_urgent() -> None:
    def one(first: int, second: int) -> float:
        cells = [Cell("a", "b", "first", first), Cell("a", "b", "second", second)]
        return float(active_sampling.weights(Tally.of_cells(cells).pairs())[0])

    assert one(1, 1) > one(2, 2) > one(20, 20) > one(200, 200) > 0
    assert one(20, 20) > one(30, 10) > one(40, 0) > 0


@given(st.lists(st.floats(1e-12, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_probabilities_sum_to_one_and_keep_the_floor(weight: list[float], floor: float) -> None:
    found = active_sampling.probabilities(np.array(weight), floor)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= floor / len(weight) * (1 - 1e-9)


def test_a_floor_is_a_share() -> None:
    with pytest.raises(ValueError, match="share"):
        active_sampling.probabilities(np.ones(3), 1.1)


class Arena:
    """Models of known strength; counts of every pair while battles are drawn in batches, as between two fits."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        size = len(EXPOSURE)
        theta = self.rng.permutation(np.linspace(-SPREAD / 2, SPREAD / 2, size))
        self.first, self.second = active_sampling.every_pair(size)
        self.chance = 1 / (1 + np.exp(theta[self.second] - theta[self.first]))
        self.size, self.won, self.lost = size, np.zeros(len(self.first)), np.zeros(len(self.first))

    @property
    def battles(self) -> Floats:
        return self.won + self.lost

    def play(self, probability: Floats) -> None:
        drawn = self.rng.multinomial(BATCH, probability)
        won = self.rng.binomial(drawn, self.chance)
        self.won += won
        self.lost += drawn - won

    def urgent(self) -> Floats:
        """By the product's own functions, with its default floor."""
        cells = (self.first, self.second)
        outcomes = [np.full(len(self.first), outcome) for outcome in (Outcome.FIRST, Outcome.SECOND)]
        a, b, ended = (
            np.concatenate([np.repeat(column, count.astype(int)) for column, count in parts])
            for parts in (
                [(cells[0], self.won), (cells[0], self.lost)],
                [(cells[1], self.won), (cells[1], self.lost)],
                [(outcomes[0], self.won), (outcomes[1], self.lost)],
            )
        )
        tally = Tally.of_battles([str(i) for i in range(self.size)], a, b, ended)
        return active_sampling.probabilities(active_sampling.weights(tally.pairs()), floor=0.1)

    def width(self) -> float:
        """The paper's precision: average width of the 95 % interval over the win matrix.

        With the true variance, so that a pair whose few battles ended alike does not pass for known; 1 where nothing is known.
        """
        deviation = np.sqrt(self.chance * (1 - self.chance) / np.maximum(self.battles, 1))
        return float(np.where(self.battles > 0, np.minimum(1, 2 * Z * deviation), 1).mean())

    def error(self) -> float:
        return float(np.abs((self.won + 0.5) / (self.battles + 1) - self.chance).mean())


def needed(seed: int, draw: str) -> tuple[int, float]:
    """Battles until the win matrix is known to WIDTH, and how far off it is on average by then."""
    arena = Arena(seed)
    exposed = EXPOSURE[arena.first] * EXPOSURE[arena.second]
    fixed = {"exposure": exposed / exposed.sum(), "uniform": np.full(len(exposed), 1 / len(exposed))}
    while arena.width() > WIDTH and arena.battles.sum() < MOST:
        arena.play(arena.urgent() if draw == "active" else fixed[draw])
    return int(arena.battles.sum()), arena.error()


def test_active_sampling_saves_what_the_paper_says() -> None:
    """Section 7.1: a random draw needs 54 % more battles for a win matrix of precision .2."""
    found = {draw: [needed(seed, draw) for seed in range(5)] for draw in ("active", "exposure", "uniform")}
    battles = {draw: np.mean([runs[0] for runs in each]) for draw, each in found.items()}
    errors = {draw: np.mean([runs[1] for runs in each]) for draw, each in found.items()}
    assert max(runs[0] for each in found.values() for runs in each) < MOST
    assert battles["exposure"] / battles["active"] >= 1.4
    assert battles["uniform"] / battles["active"] >= 1.0  # an even draw is hard to beat; it must not be worse
    assert errors["active"] == pytest.approx(errors["exposure"], rel=0.15)  # as precise as it says, not only narrower
