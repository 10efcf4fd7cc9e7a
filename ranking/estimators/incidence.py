"""Sums over the pairs of many replicates at once, in tiles that stay in the cache. Pure numpy and scipy, no Django."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from ranking.estimators.poisson_tables import Single
from ranking.estimators.tally import Floats, Pairs

TILE = 1 << 16  # floats: half a megabyte
TILE_PAIRS = 1024


class Incidence:
    """The (K, P) matrix with +1 for `first` and -1 for `second` of a pair; its transpose takes differences."""

    def __init__(self, pairs: Pairs) -> None:
        self.size, self._first, self._second = pairs.size, pairs.first, pairs.second
        self._tiles = [self._tile(begin) for begin in range(0, len(pairs.first), TILE_PAIRS)]
        self.columns = max(1, TILE // min(TILE_PAIRS, max(1, len(pairs.first))))
        """Replicates to work on at a time, so that a tile of them stays in the cache."""

    def differences(self, values: Floats) -> Iterator[tuple[slice, csr_array, Floats]]:
        """(K, B) -> per tile: its rows, its (K, rows) matrix, and the (rows, B) differences, free to overwrite."""
        for rows, matrix in self._tiles:
            gap = values[self._first[rows]]
            gap -= values[self._second[rows]]
            yield rows, matrix, gap

    def sums(self, up: Single, down: Single) -> Floats:
        """(P, B) of both sides -> (K, B) sums of up - down by model, plus for `first` and minus for `second`."""
        made = np.zeros((self.size, up.shape[1]))
        for rows, matrix in self._tiles:
            made += matrix @ np.subtract(up[rows], down[rows], dtype=np.float64)
        return made

    def _tile(self, begin: int) -> tuple[slice, csr_array]:
        rows = slice(begin, begin + TILE_PAIRS)
        first, second = self._first[rows], self._second[rows]
        count = len(first)
        signs, columns = np.repeat([1.0, -1.0], count), np.tile(np.arange(count), 2)
        return rows, csr_array((signs, (np.concatenate([first, second]), columns)), (self.size, count))
