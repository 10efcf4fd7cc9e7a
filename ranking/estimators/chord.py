"""Thousands of Bradley-Terry fits at once, by chord iteration from the fit of the full data. Pure numpy and scipy, no Django.

A replicate's information is nearly that of the full data, so its inverse serves all replicates: each round adds V g to every
replicate, V being the full fit's pseudo-inverse information and g the replicate's gradient. The likelihood equations see a
replicate only through its battles per pair (n) and its points per model; with x = theta / 2,
g_i = (points - n / 2)_i - sum_j (n_ij / 2) tanh(x_i - x_j). Replicates are worked on in blocks that stay in the cache.

Bound: a block ends when no theta of it moves by more than STEP in a round, or after ROUNDS rounds. A replicate that is not
settled then is left to Newton (`bootstrap`), and so is every one whose last steps shrink by less than half: the error left
is at most the last step. The test against Newton is tests/ranking/estimators/test_bootstrap.py.
"""

import numpy as np
from scipy.sparse import csr_array

from ranking.estimators.poisson_tables import Single
from ranking.estimators.tally import Bools, Floats, Pairs

STEP = 1e-9  # logits; 2e-7 rating points
ROUNDS = 40
TILE = 1 << 16  # floats: half a megabyte
TILE_PAIRS = 1024


class Chord:
    """`theta`: (K,) fit of the full data of `pairs`; `inverse`: (K, K) its pseudo-inverse information."""

    def __init__(self, pairs: Pairs, theta: Floats, inverse: Floats) -> None:
        self._pairs, self._theta, self._inverse = pairs, theta, inverse
        self._tiles = [self._tile(begin) for begin in range(0, len(pairs.first), TILE_PAIRS)]
        self._columns = max(1, TILE // min(TILE_PAIRS, max(1, len(pairs.first))))

    def solve(self, up: Single, down: Single, virtual: Floats) -> tuple[Floats, Bools]:
        """(P, B) points, and (B,) virtual tied battles per pair -> (B, K) thetas with mean zero, and (B,) which settled."""
        replicates = up.shape[1]
        thetas, settled = np.empty((replicates, self._pairs.size)), np.empty(replicates, bool)
        for begin in range(0, replicates, self._columns):
            block = slice(begin, begin + self._columns)
            win, loss = up[:, block], down[:, block]
            half = (win + loss).astype(np.float64)
            half += virtual[block]
            half /= 2
            excess = np.zeros((self._pairs.size, half.shape[1]))
            for rows, incidence in self._tiles:
                excess += incidence @ (win[rows].astype(np.float64) - loss[rows])
            thetas[block], settled[block] = self._iterate(half, excess / 2)
        return thetas, settled

    def _iterate(self, half: Floats, excess: Floats) -> tuple[Floats, Bools]:
        x = np.repeat(self._theta[:, None] / 2, half.shape[1], axis=1)
        last, moved = np.full(half.shape[1], np.inf), np.full(half.shape[1], np.inf)
        for _round in range(ROUNDS):
            step = self._inverse @ self._gradient(half, excess, x)
            last, moved = moved, np.abs(step).max(axis=0)
            x += step / 2
            if (moved <= STEP).all():
                break
        return (2 * (x - x.mean(axis=0))).T, (moved <= STEP) & (moved <= np.maximum(last / 2, STEP / 1000))

    def _gradient(self, half: Floats, excess: Floats, x: Floats) -> Floats:
        gradient = excess.copy()
        for rows, incidence in self._tiles:
            slope = x[self._pairs.first[rows]]
            slope -= x[self._pairs.second[rows]]
            np.tanh(slope, out=slope)
            slope *= half[rows]
            gradient -= incidence @ slope
        return gradient

    def _tile(self, begin: int) -> tuple[slice, csr_array]:
        """Some pairs, and their (K, pairs) incidence: +1 for `first`, -1 for `second`."""
        rows = slice(begin, begin + TILE_PAIRS)
        first, second = self._pairs.first[rows], self._pairs.second[rows]
        count = len(first)
        signs, columns = np.repeat([1.0, -1.0], count), np.tile(np.arange(count), 2)
        return rows, csr_array((signs, (np.concatenate([first, second]), columns)), (self._pairs.size, count))
