"""Tallies of simulated battles, for the tests of the estimators."""

import numpy as np

from ranking.estimators.laws import Law, log_chances
from ranking.estimators.tally import Outcome, Tally


def battles(
    rng: np.random.Generator, law: Law, theta: np.ndarray, count: int, phi: float | None = None, position: float = 0.0
) -> Tally:
    """`count` battles between random pairs on random sides, drawn from the law."""
    k = len(theta)
    a = rng.integers(0, k, count)
    b = (a + rng.integers(1, k, count)) % k
    chances = np.exp(log_chances(law, theta[a] + position, theta[b], phi)).cumsum(axis=0)
    outcome = (rng.random(count) * chances[-1] > chances).sum(axis=0)
    return Tally.of_battles([f"m{i}" for i in range(k)], a, b, outcome)


def ring(seed: int, k: int, most: int = 9, both_bad: bool = True) -> Tally:
    """Random counts in random cells; every neighbour in a ring beats the next one and ties it at least once."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, most * k * k))
    a = rng.integers(0, k, size)
    b = (a + rng.integers(1, k, size)) % k
    outcome = rng.integers(0, 4 if both_bad else 3, size)
    at, after = np.arange(k), (np.arange(k) + 1) % k
    ends = [Outcome.FIRST, Outcome.SECOND, Outcome.TIE, Outcome.BOTH_BAD][: 4 if both_bad else 3]
    return Tally.of_battles(
        [f"m{i}" for i in range(k)],
        np.concatenate([a, *[at] * len(ends)]),
        np.concatenate([b, *[after] * len(ends)]),
        np.concatenate([outcome, *[np.full(k, end) for end in ends]]),
    )
