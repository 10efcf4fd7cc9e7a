"""Exact Poisson draws for many equal rates at once, some twenty times faster than one generator call per draw.

A bootstrap draws a Poisson number for every cell and replicate, and the rates are counts: whole numbers of which many cells share
one. A rate is therefore split into its digits in base 64 (a sum of Poisson numbers is Poisson), and each digit has one table for
inversion: sixteen random bits choose one of 65,536 equal slices of [0, 1). A slice that lies between two steps of the
distribution function has its answer in the table; a slice with a step in it (marked -1, a few per cent at most) is decided by
53 further bits. The law is Poisson to the rounding of the distribution function in doubles. Rates of 64^3 and more are drawn by
numpy's own method.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from ranking.estimators.tally import Floats, Ints

BASE_BITS = 6
DIGITS = 3
SLICES = 1 << 16
BLOCK = 1 << 16  # draws at a time: their temporary arrays stay in the cache

SINGLE_BELOW = (
    1 << 22
)  # counts up to which halves of what is drawn are exact in single precision (2^24), with room above

Single = NDArray[np.floating[Any]]  # single precision wherever it is exact


class PoissonTables:
    """Draws for (C,) whole rates times one common `scale`; the stream is that of SFC64(seed)."""

    def __init__(self, counts: Ints, scale: float, seed: int) -> None:
        self._bits = np.random.SFC64(seed)
        self.generator = np.random.Generator(self._bits)
        self._scale = scale
        low = counts & (1 << BASE_BITS) - 1
        self.order = np.argsort(low, kind="stable")
        """Row r of a draw belongs to cell order[r]: equal low digits lie together and are written without a detour."""
        self._counts = counts[self.order]
        self._kind = kind_for(float(counts.max(initial=0)))

    def draw(self, replicates: int) -> Single:
        """(C, replicates) numbers, rows in `order`."""
        drawn: Single = np.zeros((len(self._counts), replicates), self._kind)
        if not self._scale:
            return drawn
        for place in range(DIGITS):
            digit = self._counts >> BASE_BITS * place & (1 << BASE_BITS) - 1
            for value in np.unique(digit[digit > 0]).tolist():
                self._add(drawn, np.flatnonzero(digit == value), float(value << BASE_BITS * place) * self._scale)
        huge = np.flatnonzero(self._counts >> BASE_BITS * DIGITS)
        rates = (self._counts[huge] >> BASE_BITS * DIGITS << BASE_BITS * DIGITS) * self._scale
        drawn[huge] += self.generator.poisson(rates[:, None], (len(huge), replicates)).astype(self._kind)
        return drawn

    def _add(self, drawn: Single, rows: Ints, rate: float) -> None:
        table, steps, lowest = _table(rate)
        replicates = drawn.shape[1]
        size = max(1, BLOCK // replicates)
        for begin in range(0, len(rows), size):
            some = rows[begin : begin + size]
            drawn[some] += self._invert(table, steps, lowest, len(some) * replicates).reshape(len(some), replicates)

    def _invert(self, table: Single, steps: Floats, lowest: int, count: int) -> Single:
        slices = self._bits.random_raw(-(-count // 4)).view(np.uint16)[:count]
        values = table.take(slices)
        open_slices = np.flatnonzero(values < 0)
        finer = (slices[open_slices] + self.generator.random(len(open_slices))) / SLICES
        values[open_slices] = np.searchsorted(steps, finer, side="right") + lowest
        return values


def kind_for(largest: float) -> type[np.floating[Any]]:
    """The floating type that holds halves of counts around `largest` exactly."""
    return np.float32 if largest < SINGLE_BELOW else np.float64


def _table(rate: float) -> tuple[Single, Floats, int]:
    """(SLICES,) values with -1 where a slice has a step in it; the distribution function; its first argument."""
    width = 9.0 * rate**0.5 + 10.0  # what lies outside has less than 1e-17 of the mass
    lowest = max(0, int(rate - width))
    steps = np.asarray(pdtr(np.arange(lowest, int(rate + width) + 30), rate), np.float64)
    begins = np.minimum(np.ceil(steps * SLICES), SLICES).astype(np.int64)  # slices that begin at or below each value
    begins[-1] = SLICES
    table = np.repeat(np.arange(lowest, lowest + len(steps), dtype=np.float32), np.diff(begins, prepend=0))
    table[np.minimum(steps * SLICES, SLICES - 1).astype(np.int64)] = -1.0
    return table, steps, lowest
