"""Who met whom and who won: (N, N) tables of a board's first models, row against column."""

from typing import Any

from ranking.method import SCALE
from ranking.pages.published import Board, Row


def of(board: Board, most: int) -> dict[str, Any]:
    """`models`: slugs of the first `most` rows; a win rate is null where two have not met, `expected` where one has no rating."""
    rows = board.rows[:most]
    return {
        "models": [row.slug for row in rows],
        "battles": [[board.battles(row, column) for column in rows] for row in rows],
        "ties": [[board.ties(row, column) for column in rows] for row in rows],
        "win_rate": [[board.win_rate(row, column) for column in rows] for row in rows],
        "expected": [[None if row is column else expected(row, column) for column in rows] for row in rows],
    }


def expected(row: Row, other: Row) -> float | None:
    """The win rate that the two ratings predict; None unless both are ranked."""
    if row.rating is None or other.rating is None:
        return None
    return float(1 / (1 + 10 ** ((other.rating - row.rating) / SCALE)))
