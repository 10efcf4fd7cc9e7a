"""Battles folded by judge: what the clustered sandwich and the clustered bootstrap start from. Pure numpy, no Django.

Battles of one judge are not independent, so clustered methods need to know which battles share one. Nothing else about a judge is
kept: judges are codes 0..J-1. A battle whose judge is unknown ("") shares its judge with no other battle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.estimators.tally import NAMES, OUTCOMES, Floats, Ints, Tally, among, check_codes, named, oriented

UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class JudgeCell:
    """`count` battles of `judge` between `first` and `second` that ended in `outcome`: first, second, tie or both_bad."""

    judge: str
    first: str
    second: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class JudgeTally:
    """R rows between K models, sides pooled: at most one per (judge, pair, outcome), sorted by it, none of them empty."""

    models: tuple[str, ...]
    first: Ints
    second: Ints
    outcome: Ints
    judge: Ints
    count: Floats

    @property
    def size(self) -> int:
        return len(self.models)

    @property
    def judges(self) -> int:
        return int(self.judge[-1]) + 1 if len(self.judge) else 0

    @property
    def total(self) -> float:
        """Battles."""
        return float(self.count.sum())

    @classmethod
    def of_cells(cls, cells: Iterable[JudgeCell], models: Sequence[str] | None = None) -> "JudgeTally":
        """Cells in any order and either orientation. `models`: their order (default: sorted names).

        Raises ValueError for an unknown outcome, a model against itself, a negative count, or a name not in `models`.
        """
        cells = [cell for cell in cells if cell.count]
        place = named(cells, models)
        codes = {name: i for i, name in enumerate(sorted({cell.judge for cell in cells} - {UNKNOWN}))}
        return cls._fold(
            tuple(place),
            np.array([place[cell.first] for cell in cells], np.int64),
            np.array([place[cell.second] for cell in cells], np.int64),
            np.array([NAMES[cell.outcome] for cell in cells], np.int64),
            np.array([codes.get(cell.judge, -1) for cell in cells], np.int64),
            np.array([cell.count for cell in cells], np.int64),
        )

    @classmethod
    def of_battles(
        cls,
        models: Sequence[str],
        a: ArrayLike,
        b: ArrayLike,
        outcome: ArrayLike,
        judge: ArrayLike,
        count: ArrayLike | None = None,
    ) -> "JudgeTally":
        """N battles as integer codes, as Tally.of_battles takes them; `judge`: any code >= 0, or -1 = unknown.

        `count`: whole numbers of equal battles per row (default: one).

        Raises ValueError for a model against itself, codes out of range, or columns of different lengths.
        """
        a, b, outcome, judge = (np.asarray(codes, np.int64) for codes in (a, b, outcome, judge))
        counts = np.ones(len(a), np.int64) if count is None else np.asarray(count, np.int64)
        if not len(a) == len(b) == len(outcome) == len(judge) == len(counts):
            raise ValueError("columns of different lengths")
        if (counts < 0).any():
            raise ValueError("a negative count")
        a, b, outcome, judge, counts = (column[counts > 0] for column in (a, b, outcome, judge, counts))
        check_codes(len(models), a, b, outcome)
        if len(a) and judge.min() < -1:
            raise ValueError("a judge is none of -1 (unknown), 0, 1, ...")
        return cls._fold(tuple(models), a, b, outcome, judge, counts)

    @classmethod
    def _fold(
        cls, models: tuple[str, ...], first: Ints, second: Ints, outcome: Ints, judge: Ints, count: NDArray[np.int64]
    ) -> "JudgeTally":
        """Orient, give each unknown battle a judge of its own, number the judges 0..J-1, and add up equal rows."""
        alone = np.where(judge < 0, count, 1)
        first, second, outcome, judge = (np.repeat(column, alone) for column in (first, second, outcome, judge))
        count, unknown = np.repeat(count // alone, alone), judge < 0
        judge = np.where(unknown, judge.max(initial=-1) + np.cumsum(unknown), judge)
        low, high, outcome = oriented(first, second, outcome)
        _names, judge = np.unique(judge, return_inverse=True)
        size = max(len(models), 1)
        keys, place = np.unique(((judge * size + low) * size + high) * OUTCOMES + outcome, return_inverse=True)
        rest, outcome = np.divmod(keys, OUTCOMES)
        rest, high = np.divmod(rest, size)
        judge, low = np.divmod(rest, size)
        return cls(models, low, high, outcome, judge, _sum(place, count, len(keys)))

    def tally(self) -> Tally:
        """The same battles without their judges; every pair counts as drawn with P = 1, and `first` as shown first."""
        size = max(self.size, 1)
        keys, place = np.unique((self.first * size + self.second) * OUTCOMES + self.outcome, return_inverse=True)
        count = _sum(place, self.count, len(keys))
        pair, outcome = np.divmod(keys, OUTCOMES)
        shown = np.ones(len(keys), bool)
        return Tally(self.models, pair // size, pair % size, shown, outcome, count, count.copy(), count.copy())

    def select(self, members: ArrayLike) -> "JudgeTally":
        """Only the battles among `members` (sorted positions); models and judges are numbered anew in their order."""
        members = np.asarray(members, np.int64)
        kept, first, second = among(members, self.size, self.first, self.second)
        _codes, judge = np.unique(self.judge[kept], return_inverse=True)
        columns = first, second, self.outcome[kept], judge, self.count[kept]
        return JudgeTally(tuple(self.models[i] for i in members), *columns)


def _sum(place: NDArray[np.intp], count: NDArray[Any], size: int) -> Floats:
    """(N,) counts -> (size,) sums by place; float also where there is nothing to add."""
    return np.asarray(np.bincount(place, weights=count, minlength=size), np.float64)
