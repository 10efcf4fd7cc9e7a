"""What a bootstrap replicate consists of: points of each pair, drawn with all replicates of a chunk together. No Django.

A sampler's `draw(B)` gives (P, B) points of `first` and of `second` per pair that has met. Three laws:
- Multinomial: as many battles as the data hold, with replacement, from the cells (pair, outcome) of the half-win model.
- Poisson: each cell its own Poisson number, so that the number of battles varies too.
- Judges: as many judges as there are, with replacement, each with all battles of theirs.
"""

from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from ranking.estimators.judges import JudgeTally
from ranking.estimators.poisson_tables import PoissonTables, Single, kind_for
from ranking.estimators.tally import Floats, Ints, Outcome, Pairs

SHORTFALL = (
    3.0  # standard deviations by which Poisson numbers stay below the multinomial's total, before they are topped up
)
GUIDE = 1 << 16
JUDGES_FLOATS = 1 << 20  # multiplicities at a time, whatever the number of judges
COLUMNS = 16  # replicates that are topped up together: one line of the cache holds a cell of all of them


class Sampler(Protocol):
    """Anything that draws replicates of the points of the pairs."""

    def draw(self, replicates: int) -> tuple[Single, Single]:
        """(P, replicates) points of `first` and of `second`."""
        ...


class Poisson:
    """Independent Poisson numbers with the counts as rates. Raises ValueError for counts that are no whole numbers."""

    def __init__(self, pairs: Pairs, seed: int) -> None:
        self._tables = PoissonTables(_whole_counts(pairs), 1.0, seed)
        self._rows = np.argsort(self._tables.order)

    def draw(self, replicates: int) -> tuple[Single, Single]:
        return _points(self._tables.draw(replicates), self._rows)


class Multinomial:
    """Exact, by way of Poisson numbers: given their total M <= N they are multinomial, and N - M single battles are added.

    Their rates are shortened so that M > N is rare; such a replicate is drawn again, which leaves its law given M alone.
    Raises ValueError for counts that are no whole numbers.
    """

    def __init__(self, pairs: Pairs, seed: int) -> None:
        counts = _whole_counts(pairs)
        self._total = int(counts.sum())
        self._tables = PoissonTables(counts, max(0.0, 1.0 - SHORTFALL / max(self._total, 1) ** 0.5), seed)
        self._rows = np.argsort(self._tables.order)
        self._upto = np.cumsum(counts[self._tables.order])
        self._guide = np.searchsorted(self._upto, np.arange(GUIDE) * (self._total / GUIDE), side="right")

    def draw(self, replicates: int) -> tuple[Single, Single]:
        drawn = self._tables.draw(replicates)
        missing = self._total - drawn.sum(axis=0, dtype=np.float64)
        while len(over := np.flatnonzero(missing < 0)):
            again = self._tables.draw(len(over))
            drawn[:, over], missing[over] = again, self._total - again.sum(axis=0, dtype=np.float64)
        for begin in range(0, replicates, COLUMNS):
            block = missing[begin : begin + COLUMNS].astype(np.int64)
            columns = np.repeat(np.arange(len(block)), block)
            keys = self._single_battles(len(columns)) * len(block) + columns
            added = np.bincount(keys, minlength=len(drawn) * len(block)).reshape(len(drawn), len(block))
            drawn[:, begin : begin + COLUMNS] += added
        return _points(drawn, self._rows)

    def _single_battles(self, count: int) -> Ints:
        """Rows of `count` battles drawn one by one; a guide table gives most of them without a search."""
        chosen = self._tables.generator.random(count)
        row = self._guide[(chosen * GUIDE).astype(np.int64)]
        battle = chosen * self._total
        beyond = np.flatnonzero(self._upto[row] <= battle)
        row[beyond] = np.searchsorted(self._upto, battle[beyond], side="right")
        return np.asarray(np.minimum(row, len(self._upto) - 1))


class Judges:
    """Judges drawn with replacement: (P, J) points per judge times (J, B) multiplicities."""

    def __init__(self, tally: JudgeTally, pairs: Pairs, seed: int) -> None:
        """`pairs`: of the same battles and models (`tally.tally().pairs()`)."""
        place = np.searchsorted(pairs.first * pairs.size + pairs.second, tally.first * tally.size + tally.second)
        tied = tally.outcome >= Outcome.TIE
        shape = len(pairs.first), tally.judges
        up, down = (
            csr_array((tally.count * np.where(tied, 0.5, tally.outcome == side), (place, tally.judge)), shape)
            for side in (Outcome.FIRST, Outcome.SECOND)
        )
        self._kind = kind_for(tally.total)
        self._up, self._down = up.astype(self._kind), down.astype(self._kind)
        self._generator = np.random.Generator(np.random.SFC64(seed))

    def draw(self, replicates: int) -> tuple[Single, Single]:
        pairs, judges = self._up.shape
        up, down = np.empty((2, pairs, replicates), self._kind)
        size = max(1, JUDGES_FLOATS // judges)
        for begin in range(0, replicates, size):
            block = slice(begin, min(begin + size, replicates))
            times = self._multiplicities(block.stop - begin)
            up[:, block], down[:, block] = self._up @ times, self._down @ times
        return up, down

    def _multiplicities(self, replicates: int) -> Single:
        """(J, replicates): how often each judge is drawn."""
        judges = self._up.shape[1]
        drawn = self._generator.integers(judges, size=(judges, replicates)) * replicates + np.arange(replicates)
        return np.bincount(drawn.ravel(), minlength=judges * replicates).reshape(judges, replicates).astype(self._kind)


def _whole_counts(pairs: Pairs) -> Ints:
    """(3 P,) won, lost and tied battles of each pair."""
    counts: Floats = np.concatenate([pairs.won, pairs.lost, pairs.tied + pairs.both_bad])
    if (counts != np.rint(counts)).any() or (counts < 0).any():
        raise ValueError("only whole counts can be resampled")
    return counts.astype(np.int64)


def _points(drawn: Single, rows: Ints) -> tuple[Single, Single]:
    """(3 P, B) outcomes in the tables' order -> points of `first` and `second`."""
    won, lost, tied = np.split(rows, 3)
    half = drawn[tied]
    half *= 0.5
    up, down = drawn[won], drawn[lost]
    up += half
    down += half
    return up, down
