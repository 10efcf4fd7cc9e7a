"""Sums over rows that style control solves with: weighted outer products of a battle's design vector. Pure numpy, no Django."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.estimators.style_rows import Rows
from ranking.estimators.tally import Floats


@dataclass(slots=True)
class Moments:
    """Sum over rows of weight * z z', z = (e_A - e_B, x): by pair, pair by covariate, and covariate by covariate."""

    pair: Floats
    cross: Floats
    square: Floats

    @classmethod
    def empty(cls, pairs: int, width: int) -> "Moments":
        return cls(np.zeros(pairs), np.zeros((width, pairs)), np.zeros((width, width)))

    def add(self, pair: NDArray[np.intp], x: Floats, weight: Floats) -> None:
        count = len(self.pair)
        self.pair += np.bincount(pair, weight, count)
        weighted = x * weight
        for f, column in enumerate(weighted):
            self.cross[f] += np.bincount(pair, column, count)
        self.square += weighted @ x.T

    def matrix(self, rows: Rows) -> Floats:
        """(K + F, K + F)."""
        k, width = rows.size, len(self.square)
        full = np.zeros((k + width, k + width))
        weight = np.zeros((k, k))
        weight[rows.first, rows.second] = self.pair
        weight += weight.T
        full[:k, :k] = np.diag(weight.sum(axis=1)) - weight
        for f in range(width):
            full[:k, k + f] = np.bincount(rows.first, self.cross[f], k) - np.bincount(rows.second, self.cross[f], k)
        full[k:, :k] = full[:k, k:].T
        full[k:, k:] = self.square
        return full
