"""Rows for style control: battles read once from a stream of chunks and kept as compact columns. Pure numpy, no Django.

Differences of answers are nearly continuous, so battles do not fold into cells; what is kept of a battle is the code of its
pair (4 bytes), half points (1), its judge (4, where judges are given) and one float32 per covariate: 37 bytes with eight
covariates and no judge. A difference in [-1, 1] is stored to 6e-8; the sums over rows are taken in float64.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.estimators.tally import OUTCOMES, Floats, Ints, Outcome, Tally, among

FEATURES = ("length", "headers", "lists", "bold")
BLOCK = 1 << 16  # rows that a pass holds as float64 at a time
_HALVES = np.array([2, 0, 1, 1], np.int8)  # half points of A by Outcome


def contrast(a: ArrayLike, b: ArrayLike, offset: float = 1.0) -> Floats:
    """(a - b) / (a + b + offset) of counts >= 0, in [-1, 1]; 0 where both are 0. `offset` 1 as in FastChat; 0: arena-rank."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    total = a + b + offset
    return np.asarray(np.divide(a - b, total, out=np.zeros(np.broadcast(a, b).shape), where=total != 0))


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """n battles: positions shown as A and B, Outcome codes (FIRST = A won), (n, F) covariates as A minus B, judges' codes.

    `judge`: any integers; a negative one is an unknown judge. None in all chunks: battles are independent.
    """

    a: ArrayLike
    b: ArrayLike
    outcome: ArrayLike
    features: ArrayLike
    judge: ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N battles between K models; a pair (A, B) is ordered, P of them occur.

    `first`, `second`: (P,) positions shown as A and as B; `pair`: (N,) into them; `half_points`: (N,) of A, 0 to 2 (both bad is
    a tie); `columns`: (F, N) covariates as A minus B; `judge`: (N,) codes from 0, an unknown judge has one of its own.
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    first: Ints
    second: Ints
    pair: NDArray[np.int32]
    half_points: NDArray[np.int8]
    columns: NDArray[np.float32]
    judge: NDArray[np.int32] | None = None

    @property
    def size(self) -> int:
        return len(self.models)

    @property
    def total(self) -> int:
        return len(self.pair)

    @property
    def points(self) -> Floats:
        """(K, K) points taken by row from column: what Bradley-Terry without covariates needs."""
        ended = np.bincount(self.pair, self.half_points, len(self.first)) / 2
        met = np.bincount(self.pair, minlength=len(self.first))
        taken = np.zeros((self.size, self.size))
        taken[self.first, self.second] = ended
        taken[self.second, self.first] += met - ended
        return taken

    def blocks(self) -> Iterator[slice]:
        for begin in range(0, self.total, BLOCK):
            yield slice(begin, begin + BLOCK)

    def select(self, members: ArrayLike) -> "Rows":
        """Only the battles among `members` (sorted positions), numbered anew in their order."""
        members = np.asarray(members, np.int64)
        if len(members) == self.size:
            return self
        inside, first, second = among(members, self.size, self.first, self.second)
        kept = inside[self.pair]
        number = np.cumsum(inside, dtype=np.int32) - np.int32(1)
        return Rows(
            tuple(self.models[i] for i in members),
            self.names,
            first,
            second,
            number[self.pair[kept]],
            self.half_points[kept],
            np.ascontiguousarray(self.columns[:, kept]),
            None if self.judge is None else _compact(self.judge[kept]),
        )


def gather(models: Sequence[str], names: Sequence[str], chunks: Iterable[Chunk]) -> Rows:
    """Read the chunks once; `names` are those of the F covariates.

    Raises ValueError for a model against itself, codes out of range, covariates that are not finite, judges in some chunks only.
    """
    parts = [part for part in (_stored(len(models), len(names), chunk) for chunk in chunks) if len(part[0])]
    if not parts:
        parts = [_stored(len(models), len(names), Chunk([], [], [], np.zeros((0, len(names)))))]
    judged = {part[3] is not None for part in parts}
    if len(judged) > 1:
        raise ValueError("some chunks name judges and some do not")
    keys = np.concatenate([part[0] for part in parts])
    halves = np.concatenate([part[1] for part in parts])
    columns = np.concatenate([part[2] for part in parts], axis=1)
    judges = np.concatenate([part[3] for part in parts if part[3] is not None]) if judged == {True} else None
    del parts
    seen = np.flatnonzero(np.bincount(keys, minlength=len(models) ** 2))
    place = np.zeros(len(models) ** 2, np.int32)
    place[seen] = np.arange(len(seen), dtype=np.int32)
    first, second = np.divmod(seen, max(len(models), 1))
    return Rows(
        tuple(models),
        tuple(names),
        first,
        second,
        place[keys],
        halves,
        columns,
        None if judges is None else _compact(judges),
    )


def _stored(
    size: int, features: int, chunk: Chunk
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.float32], Ints | None]:
    """Check a chunk and keep its columns: pair key, half points of A, covariates, judges."""
    a, b, outcome = (np.asarray(codes, np.int64) for codes in (chunk.a, chunk.b, chunk.outcome))
    with np.errstate(over="ignore"):  # what single precision cannot hold becomes inf, and is refused
        covariates = np.asarray(chunk.features, np.float32).reshape(len(a), features)
    if len(a) and (min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= size):
        raise ValueError(f"a position is outside the {size} models")
    if len(a) and (outcome.min() < 0 or outcome.max() >= OUTCOMES):
        raise ValueError("an outcome code is none of Outcome")
    if (a == b).any():
        raise ValueError("a battle of a model against itself")
    if not np.isfinite(covariates).all():
        raise ValueError("a covariate is not finite in single precision")
    judge = None if chunk.judge is None else np.asarray(chunk.judge, np.int64)
    return (a * size + b).astype(np.int32), _HALVES[outcome], np.ascontiguousarray(covariates.T), judge


def _compact(judges: NDArray[np.integer]) -> NDArray[np.int32]:
    """Codes from 0 without gaps; every negative one becomes a judge of its own."""
    codes = np.asarray(judges, np.int64)
    unknown = codes < 0
    known, place = np.unique(codes[~unknown], return_inverse=True)
    numbered = np.empty(len(codes), np.int32)
    numbered[~unknown] = place
    numbered[unknown] = len(known) + np.arange(int(unknown.sum()))
    return numbered


def fold(rows: Rows) -> Tally:
    """The same battles without covariates; a tie stands for "both bad" too."""
    outcome = np.array([Outcome.SECOND, Outcome.TIE, Outcome.FIRST])[rows.half_points]
    return Tally.of_battles(rows.models, rows.first[rows.pair], rows.second[rows.pair], outcome)
