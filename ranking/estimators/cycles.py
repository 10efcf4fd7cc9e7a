"""Is one scale enough? Cyclic triads against what Bradley-Terry expects, and the fit of every pair. No Django.

A triad is cyclic when its majorities go round: a over b, b over c, c over a (Kendall and Babington Smith 1940). Even a true
scale makes some when models are close and votes few, so the count is compared with boards drawn from the fit: the same battles
per pair, outcomes from Davidson's law at its estimate (Bradley-Terry where nothing is tied). p = (1 + boards with at least as
many) / (1 + boards). A triad counts where all three pairs have met and none is even.

Fit: deviance 2 sum n log(n / expected) over the outcomes of each pair, against the same law; the total is compared with boards
drawn from it, each with its own estimate, reached by one Newton step. Shown by tests/ranking/estimators/test_cycles.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from ranking.estimators import outcomes
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.half_win import DROP
from ranking.estimators.laws import Law, log_chances
from ranking.estimators.outcomes import Fitted
from ranking.estimators.tally import Floats, Ints, Outcome, Tally

BOARDS = 199
CHUNK = 64  # boards drawn at a time, at most
# Numbers of one array of theirs, where that allows a board: bounds the memory on boards of many models.
ROOM = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Cycles:
    """`observed` cyclic triads of `triads`; `expected` and `deviation` (standard) over the drawn boards; `p_value`.

    `examples`: up to ten cyclic triads (a beats b beats c beats a), those whose narrowest majority is widest.
    `deviance`: of the whole, with `deviance_p`; `pairs`: (P, 2) positions and `pair_deviance`: (P,), each on about two degrees
    (one where nothing is tied); `law`: the law that was fitted.
    """

    observed: int
    triads: int
    expected: float
    deviation: float
    p_value: float
    examples: tuple[tuple[int, int, int], ...]
    deviance: float
    deviance_p: float
    pairs: Ints
    pair_deviance: Floats
    law: str


@dataclass(frozen=True, slots=True, eq=False)
class _Board:
    """(3, P) counts of won, lost and tied ("both bad" is a tie) of P pairs among K models."""

    size: int
    first: Ints
    second: Ints
    counts: Floats


def judge(tally: Tally, seed: int, boards: int = BOARDS) -> Cycles:
    """Of a strongly connected tally. Raises outcomes.NoEstimate where the law has no estimate."""
    met = tally.pairs()
    board = _Board(tally.size, met.first, met.second, np.stack([met.won, met.lost, met.tied + met.both_bad]))
    law = DAVIDSON if board.counts[2].any() else DROP
    fitted = outcomes.fit(law, tally)
    chances = _chances(law, fitted.theta, fitted.tie, board)
    observed, triads = _cyclic(board, board.counts[None])
    by_pair = _deviance(board.counts, chances)
    drawn, scatter = _simulate(board, law, fitted, chances, np.random.default_rng(seed), boards)
    return Cycles(
        int(observed[0]),
        int(triads[0]),
        float(drawn.mean()),
        float(drawn.std()),
        float((1 + (drawn >= observed[0]).sum()) / (1 + boards)),
        _examples(board),
        float(by_pair.sum()),
        float((1 + (scatter >= by_pair.sum()).sum()) / (1 + boards)),
        np.column_stack([board.first, board.second]),
        by_pair,
        law.name,
    )


def _chances(law: Law, theta: Floats, phi: float | None, board: _Board) -> Floats:
    """(3, P)."""
    return np.asarray(np.exp(log_chances(law, theta[board.first], theta[board.second], phi))[: Outcome.BOTH_BAD])


def _simulate(
    board: _Board, law: Law, fitted: Fitted, chances: Floats, rng: np.random.Generator, boards: int
) -> tuple[Floats, Floats]:
    """(boards,) cyclic triads and deviances of boards drawn from the fit."""
    battles = board.counts.sum(axis=0).astype(np.int64)
    cyclic, deviances = [], []
    tied = chances[2]
    won = chances[0] / (chances[0] + chances[1])
    at_once = max(1, min(CHUNK, ROOM // max(board.size**2, 1)))
    for begin in range(0, boards, at_once):
        shape = (min(at_once, boards - begin), len(battles))
        draws = rng.binomial(battles, tied, shape)
        wins = rng.binomial(battles - draws, won)
        counts = np.stack([wins, battles - draws - wins, draws], axis=1).astype(float)
        cyclic.append(_cyclic(board, counts)[0])
        deviances.append([_deviance(one, _refitted(board, law, fitted, chances, one)).sum() for one in counts])
    return np.concatenate(cyclic), np.concatenate(deviances)


def _refitted(board: _Board, law: Law, fitted: Fitted, chances: Floats, counts: Floats) -> Floats:
    """(3, P) chances at the board's own estimate, one Newton step away: its score times the inverse information."""
    excess = counts - counts.sum(axis=0) * chances
    points = excess[0] + excess[2] / 2
    score = np.bincount(board.first, points, board.size) - np.bincount(board.second, points, board.size)
    if law is DAVIDSON:
        score = np.append(score, excess[2].sum())
    step = fitted.covariance @ score
    phi = None if fitted.tie is None else fitted.tie + step[-1]
    return _chances(law, fitted.theta + step[: board.size], phi, board)


def _deviance(counts: Floats, chances: Floats) -> Floats:
    """(P,) from (3, P) counts and chances."""
    battles = counts.sum(axis=0)
    expected = battles * chances
    ratio = np.divide(counts, expected, out=np.ones_like(counts), where=(counts > 0) & (expected > 0))
    return np.asarray(2 * xlogy(counts, ratio).sum(axis=0))


def _beats(board: _Board, counts: Floats) -> NDArray[np.float32]:
    """(B, 3, P) -> (B, K, K): 1 where the row has the majority over the column."""
    lead = counts[:, 0] - counts[:, 1]
    over = np.zeros((len(counts), board.size, board.size), np.float32)
    over[:, board.first, board.second] = lead > 0
    over[:, board.second, board.first] = lead < 0
    return over


def _cyclic(board: _Board, counts: Floats) -> tuple[Ints, Ints]:
    """(B,) cyclic triads and (B,) triads with three majorities."""
    over = _beats(board, counts)
    either = over + np.swapaxes(over, 1, 2)
    cyclic = np.einsum("bij,bji->b", over @ over, over, dtype=np.float64) / 3
    triads = np.einsum("bij,bji->b", either @ either, either, dtype=np.float64) / 6
    return np.rint(cyclic).astype(np.int64), np.rint(triads).astype(np.int64)


def _examples(board: _Board, most: int = 10) -> tuple[tuple[int, int, int], ...]:
    lead = np.zeros((board.size, board.size))
    share = (board.counts[0] - board.counts[1]) / board.counts.sum(axis=0)
    lead[board.first, board.second], lead[board.second, board.first] = share, -share
    over = _beats(board, board.counts[None])[0] > 0
    found: list[tuple[float, tuple[int, int, int]]] = []
    for a in range(board.size):
        b, c = np.nonzero(over & over[a][:, None] & over[:, a][None, :])
        after = (b > a) & (c > a)  # each cycle once, from its lowest member
        for i, j in zip(b[after].tolist(), c[after].tolist(), strict=True):
            found.append((float(min(lead[a, i], lead[i, j], lead[j, a])), (a, i, j)))
        found = sorted(found, key=lambda one: (-one[0], one[1]))[:most]
    return tuple(triad for _lead, triad in found)
