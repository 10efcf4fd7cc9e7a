"""Boards of known strength, as pairs and as battles, and the same board in other shapes."""

import numpy as np

from ranking.estimators.tally import Pairs, Tally


def pairs_of(wins: np.ndarray, ties: np.ndarray | None = None) -> Pairs:
    """(K, K) wins of row over column and symmetric ties -> the pairs that have met."""
    ties = np.zeros_like(wins) if ties is None else ties
    first, second = np.nonzero(np.triu(wins + wins.T + ties))
    won, lost, tied = wins[first, second], wins[second, first], ties[first, second]
    return Pairs(len(wins), first, second, won, lost, tied, np.zeros(len(first)))


def davidson(rng: np.random.Generator, theta: np.ndarray, battles: np.ndarray, nu: float = 0.7) -> Pairs:
    """(K, K) upper triangle of battle counts -> simulated outcomes; about a quarter are ties at nu = 0.7."""
    first, second = np.nonzero(np.triu(battles))
    gap = theta[first] - theta[second]
    chances = np.column_stack([np.exp(gap / 2), np.exp(-gap / 2), np.full(len(gap), nu)])
    chances /= chances.sum(axis=1, keepdims=True)
    won, lost, tied = rng.multinomial(battles[first, second], chances).T.astype(float)
    return Pairs(len(theta), first, second, won, lost, tied, np.zeros(len(first)))


def even(size: int, per_pair: int) -> np.ndarray:
    """Every pair meets equally often."""
    return np.triu(np.full((size, size), per_pair), 1)


def skewed(rng: np.random.Generator, size: int, battles: int) -> np.ndarray:
    """Battles spread by popularity, rank^-0.7 in random order: some pairs meet a hundred times as often as others."""
    share = rng.permutation(np.arange(1, size + 1) ** -0.7)
    weights = np.triu(np.outer(share, share), 1)
    return rng.multinomial(battles, weights.ravel() / weights.sum()).reshape(size, size)


def half_win(
    rng: np.random.Generator, theta: np.ndarray, battles: np.ndarray, ties: float = 0.4
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(K, K) upper triangle of battle counts -> first, second, won, lost, tied; the points are exactly Bradley-Terry's.

    A tie takes as much from a win as from a loss, so that theta is the truth of the half-win model (Davidson's is not).
    """
    first, second = np.nonzero(np.triu(battles))
    chance = 1 / (1 + np.exp(theta[second] - theta[first]))
    slack = ties * np.minimum(chance, 1 - chance)
    outcome = rng.multinomial(battles[first, second], np.column_stack([chance - slack, 1 - chance - slack, 2 * slack]))
    won, lost, tied = outcome.T.astype(float)
    return first, second, won, lost, tied


def half_win_tally(rng: np.random.Generator, theta: np.ndarray, battles: np.ndarray, ties: float = 0.4) -> Tally:
    """The same as cells."""
    first, second, *outcomes = half_win(rng, theta, battles, ties)
    return tally_of(len(theta), first, second, np.stack(outcomes))


def tally_of(size: int, first: np.ndarray, second: np.ndarray, outcomes: np.ndarray) -> Tally:
    """(3, P) won, lost and tied battles of pairs -> a tally without sides and probabilities."""
    outcome, pair = np.nonzero(outcomes)
    order = np.lexsort((outcome, second[pair], first[pair]))
    outcome, pair = outcome[order], pair[order]
    count = outcomes[outcome, pair].astype(float)
    models = tuple(f"m{i:03}" for i in range(size))
    return Tally(models, first[pair], second[pair], np.ones(len(pair), bool), outcome, count, count, count)
