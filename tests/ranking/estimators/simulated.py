"""Boards of known strength, as pairs and as battles, and the same board in other shapes."""

import numpy as np

from ranking.estimators.tally import Pairs


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
