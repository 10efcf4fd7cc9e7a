"""The published detector simulation: 20 models, strengths spread 2.4 logits in random order, 25 % ties, 200 past votes per pair.

Attackers: `random` (each outcome alike), `rig` (votes for the weakest model, honest otherwise), `only` (takes part in its battles
alone, and votes for it), `anti-strong`, `a`, `b`, `tie` (always), `inverted`, `coin` (random without ties), `rig+random`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ranking.detectors.history import A_WON, B_WON, TIED, Ballots, History
from ranking.estimators.tally import Floats

SIZE, SPREAD, TIES, PAST, VOTES = 20, 2.4, 0.25, 200, 100
PER_HISTORY = 20  # voters that are judged by one history


@dataclass(eq=False)
class World:
    """True strengths and outcome chances, and the history that detectors know."""

    rng: np.random.Generator
    theta: Floats
    history: History

    @classmethod
    def of(cls, seed: int, order: str = "random") -> "World":
        rng = np.random.default_rng(seed)
        theta = np.linspace(SPREAD / 2, -SPREAD / 2, SIZE)
        theta = rng.permutation(theta) if order == "random" else theta
        first, second = np.triu_indices(SIZE, 1)
        a, b = shuffled(rng, np.repeat(first, PAST), np.repeat(second, PAST))
        world = cls(rng, theta, History.of_ballots(SIZE, Ballots.of(a[:0], a[:0], a[:0])))
        world.history = History.of_ballots(SIZE, world.honest(a, b))
        return world

    def chances(self, a: np.ndarray, b: np.ndarray) -> Floats:
        expected = 1 / (1 + np.exp(self.theta[b] - self.theta[a]))
        return np.stack([expected * (1 - TIES), (1 - expected) * (1 - TIES), np.full(len(a), TIES)], axis=1)

    def honest(self, a: np.ndarray, b: np.ndarray) -> Ballots:
        return Ballots.of(a, b, self.drawn(self.chances(a, b)))

    def drawn(self, chances: Floats) -> np.ndarray:
        return (self.rng.random(len(chances))[:, None] > chances.cumsum(axis=1)[:, :2]).sum(axis=1)

    def voter(self, kind: str, votes: int = VOTES) -> Ballots:
        rng, target = self.rng, int(self.theta.argmin())
        a = rng.integers(0, SIZE, votes)
        b = (a + rng.integers(1, SIZE, votes)) % SIZE
        if kind == "only":
            rivals = (target + rng.integers(1, SIZE, votes)) % SIZE
            a, b = shuffled(rng, np.full(votes, target), rivals)
        ballots = self.honest(a, b)
        return Ballots.of(a, b, self._said(kind, ballots, target))

    def _said(self, kind: str, ballots: Ballots, target: int) -> np.ndarray:
        a, b, votes = ballots.a, ballots.b, len(ballots)
        for_target = np.where(a == target, A_WON, B_WON)
        with_target = (a == target) | (b == target)
        anything = self.rng.integers(0, 3, votes)
        weaker = np.where(self.theta[a] < self.theta[b], A_WON, B_WON)
        return {
            "honest": ballots.outcome,
            "random": anything,
            "coin": self.rng.integers(0, 2, votes),
            "rig": np.where(with_target, for_target, ballots.outcome),
            "only": for_target,
            "rig+random": np.where(with_target, for_target, anything),
            "anti-strong": weaker,
            "inverted": self.drawn(self.chances(a, b)[:, [B_WON, A_WON, TIED]]),
            "a": np.full(votes, A_WON),
            "b": np.full(votes, B_WON),
            "tie": np.full(votes, TIED),
        }[kind]


def shuffled(rng: np.random.Generator, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    turned = rng.random(len(first)) < 0.5
    return np.where(turned, second, first), np.where(turned, first, second)


def crowd(
    kind: str, people: int, votes: int = VOTES, seed: int = 0, order: str = "random"
) -> Iterator[tuple[World, Ballots]]:
    """`people` voters of one kind, each with the world that they live in."""
    for number in range(people):
        if number % PER_HISTORY == 0:
            world = World.of(seed * 1000 + number // PER_HISTORY, order)
        yield world, world.voter(kind, votes)
