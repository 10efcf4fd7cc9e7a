"""Battles folded into cells: what every estimator of counts starts from. Pure numpy, no Django.

A cell is a pair, who of it was shown first, and an outcome. Its `count` is enough for every estimator that asks nothing else of
a battle; `inverse_p` and `inverse_p2` are the sums of 1/P and 1/P^2 over its battles, P being the probability that its pair was
drawn with (Chatbot Arena, arXiv 2403.04132, equation 7). Memory depends on the cells, not on the battles.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Outcome(IntEnum):
    """Of a cell, seen from its `first` model."""

    FIRST = 0
    SECOND = 1
    TIE = 2
    BOTH_BAD = 3


OUTCOMES = len(Outcome)
DENSE_BINS = 1 << 22  # cells that could be, up to which they are counted without sorting: 724 models
NAMES = {"first": Outcome.FIRST, "second": Outcome.SECOND, "tie": Outcome.TIE, "both_bad": Outcome.BOTH_BAD}


@dataclass(frozen=True, slots=True)
class Cell:
    """`count` battles of `first` against `second` that ended in `outcome`: first, second, tie or both_bad.

    `first_was_a`: `first` was shown as model A. `inverse_p`, `inverse_p2`: sums over these battles; None where no probability of
    the draw is known (then every battle counts as drawn with P = 1).
    """

    first: str
    second: str
    outcome: str
    count: float
    first_was_a: bool = True
    inverse_p: float | None = None
    inverse_p2: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The P pairs that have met, sides pooled: positions `first` < `second` and (P,) battles by outcome."""

    size: int  # K models
    first: Ints
    second: Ints
    won: Floats
    lost: Floats
    tied: Floats
    both_bad: Floats

    @classmethod
    def of_points(cls, points: Floats) -> "Pairs":
        """(K, K) points of row against column, for methods that ask only for points: they count as wins."""
        first, second = np.nonzero(np.triu(points + points.T, 1))
        nothing = np.zeros(len(first))
        return cls(len(points), first, second, points[first, second], points[second, first], nothing, nothing)

    @property
    def battles(self) -> Floats:
        return self.won + self.lost + self.tied + self.both_bad

    @property
    def points(self) -> Floats:
        """(P,) points of `first`: a tie is half a win for each, and "both bad" is a tie."""
        return self.won + (self.tied + self.both_bad) / 2

    @property
    def points_against(self) -> Floats:
        """(P,) points of `second`."""
        return self.lost + (self.tied + self.both_bad) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """C cells between K models; at most one per (pair, side, outcome), sorted by it, none of them empty."""

    models: tuple[str, ...]
    first: Ints
    second: Ints
    first_was_a: Bools
    outcome: Ints
    count: Floats
    inverse_p: Floats
    inverse_p2: Floats

    @property
    def size(self) -> int:
        return len(self.models)

    @property
    def total(self) -> float:
        """Battles."""
        return float(self.count.sum())

    @classmethod
    def of_cells(cls, cells: Iterable[Cell], models: Sequence[str] | None = None) -> "Tally":
        """Cells in any order and either orientation. `models`: their order (default: sorted names).

        Raises ValueError for an unknown outcome, a model against itself, a negative count, or a name not in `models`.
        """
        cells = [cell for cell in cells if cell.count]
        place = named(cells, models)
        column = [(c.count, c.count if c.inverse_p is None else c.inverse_p) for c in cells]
        squares = [c.count if c.inverse_p2 is None else c.inverse_p2 for c in cells]
        return cls._fold(
            tuple(place),
            [place[c.first] for c in cells],
            [place[c.second] for c in cells],
            [c.first_was_a for c in cells],
            [NAMES[c.outcome] for c in cells],
            np.array([(*pair, square) for pair, square in zip(column, squares, strict=True)], float).reshape(-1, 3),
        )

    @classmethod
    def of_battles(
        cls,
        models: Sequence[str],
        a: ArrayLike,
        b: ArrayLike,
        outcome: ArrayLike,
        probability: ArrayLike | None = None,
    ) -> "Tally":
        """N battles as integer codes: positions of the models shown as A and B, and who won as an Outcome (FIRST = A).

        `probability`: of the draw of each pair. Raises ValueError for a model against itself or codes out of range.
        """
        a, b, outcome = (np.asarray(codes, np.int64) for codes in (a, b, outcome))
        check_codes(len(models), a, b, outcome)
        inverse = np.ones(len(a)) if probability is None else 1.0 / np.asarray(probability, float)
        weights = None if probability is None else np.column_stack([np.ones(len(a)), inverse, inverse**2])
        return cls._fold(tuple(models), a, b, np.ones(len(a), bool), outcome, weights)

    @classmethod
    def _fold(
        cls,
        models: tuple[str, ...],
        first: ArrayLike,
        second: ArrayLike,
        first_was_a: ArrayLike,
        outcome: ArrayLike,
        weights: Floats | None,
    ) -> "Tally":
        """Orient every row so that first < second, and add up the rows of a cell; `weights`: (N, 3), None = ones."""
        first, second = np.asarray(first, np.int64), np.asarray(second, np.int64)
        was_a, outcome = np.asarray(first_was_a, bool), np.asarray(outcome, np.int64)
        size, was_a = len(models), was_a ^ (first > second)
        low, high, outcome = oriented(first, second, outcome)
        keys = ((low * size + high) * 2 + ~was_a) * OUTCOMES + outcome
        filled, sums = _sum(keys, weights, size * size * 2 * OUTCOMES)
        pair, rest = np.divmod(filled, 2 * OUTCOMES)
        sides, ends = np.divmod(rest, OUTCOMES)
        return cls(models, pair // size, pair % size, sides == 0, ends, *sums)

    def pairs(self, reweighted: bool = False) -> Pairs:
        """Sides pooled: what Bradley-Terry and the tie models without a first-position term need.

        `reweighted`: each battle counts 1 / P, P being the probability that its pair was drawn with (paper eq. 7).
        """
        keys = self.first * self.size + self.second
        met, place = np.unique(keys, return_inverse=True)
        ended = np.zeros((OUTCOMES, len(met)))
        np.add.at(ended, (self.outcome, place), self.inverse_p if reweighted else self.count)
        first, second = np.divmod(met, max(self.size, 1))
        return Pairs(self.size, first, second, ended[0], ended[1], ended[2], ended[3])

    def select(self, members: ArrayLike) -> "Tally":
        """Only the battles among `members` (sorted positions), numbered anew in their order."""
        members = np.asarray(members, np.int64)
        kept, first, second = among(members, self.size, self.first, self.second)
        return Tally(
            tuple(self.models[i] for i in members),
            first,
            second,
            self.first_was_a[kept],
            self.outcome[kept],
            self.count[kept],
            self.inverse_p[kept],
            self.inverse_p2[kept],
        )


def _sum(keys: Ints, weights: Floats | None, bins: int) -> tuple[Ints, Floats]:
    """(N,) keys below `bins` -> the keys that occur, sorted, and (3, keys) sums of their weights (None: counts, three times)."""
    if bins > DENSE_BINS:  # sorting takes longer, and memory for the battles instead of for every cell that could be
        occurring, keys = np.unique(keys, return_inverse=True)
        bins = len(occurring)
    else:
        occurring = np.arange(bins)
    if weights is None:
        sums = np.bincount(keys, minlength=bins).astype(float)[None, :].repeat(3, axis=0)
    else:
        sums = np.stack([np.bincount(keys, weights=column, minlength=bins) for column in weights.T])
    filled = np.flatnonzero(sums[0])
    return occurring[filled], sums[:, filled].copy()


def oriented(first: Ints, second: Ints, outcome: Ints) -> tuple[Ints, Ints, Ints]:
    """The same rows with first < second: where the two change places, so do a win and a loss."""
    turned = first > second
    outcome = np.where(turned & (outcome < Outcome.TIE), 1 - outcome, outcome)
    return np.where(turned, second, first), np.where(turned, first, second), outcome


def among(members: Ints, size: int, first: Ints, second: Ints) -> tuple[Bools, Ints, Ints]:
    """Which rows are between `members`, positions among `size` models; and where both models of these rows are in `members`."""
    place = np.full(size, -1)
    place[members] = np.arange(len(members))
    kept = (place[first] >= 0) & (place[second] >= 0)
    return kept, place[first[kept]], place[second[kept]]


class Counted(Protocol):
    """What cells with and without a judge have in common."""

    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def count(self) -> float: ...


def named(cells: Sequence[Counted], models: Sequence[str] | None) -> dict[str, int]:
    """Positions of the models by name, in the order of `models` (default: sorted names). Raises ValueError as `of_cells` does."""
    names = tuple(models) if models is not None else tuple(sorted({n for c in cells for n in (c.first, c.second)}))
    place = {name: i for i, name in enumerate(names)}
    for cell in cells:
        _check(cell, place)
    return place


def check_codes(size: int, a: Ints, b: Ints, outcome: Ints) -> None:
    """Raises ValueError for positions outside `size` models, codes that are no Outcome, and a model against itself."""
    if len(a) and (min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= size):
        raise ValueError(f"a position is outside the {size} models")
    if len(a) and (outcome.min() < 0 or outcome.max() >= OUTCOMES):
        raise ValueError("an outcome code is none of Outcome")
    if (a == b).any():
        raise ValueError(f"battle {int(np.flatnonzero(a == b)[0])} is a model against itself")


def _check(cell: Counted, place: dict[str, int]) -> None:
    if cell.outcome not in NAMES:
        raise ValueError(f"unknown outcome {cell.outcome!r}: expected {', '.join(NAMES)}")
    if cell.first == cell.second:
        raise ValueError(f"{cell.first!r} against itself")
    if cell.count < 0:
        raise ValueError(f"a negative count: {cell}")
    if unknown := {cell.first, cell.second} - place.keys():
        raise ValueError(f"unknown model {sorted(unknown)[0]!r}")
