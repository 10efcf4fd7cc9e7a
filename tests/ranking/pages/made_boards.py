"""Boards made by hand, for tests of what pages say and draw."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from arena.clock import now
from ranking.board import board_format
from ranking.fits.boards import Key
from ranking.pages.published import Board, Row

SNAPSHOT = UUID(int=7)


def row(place: int, rating: float | None = None, **fields: Any) -> Row:
    """Of a ranked model when it has a rating; `fields` are those of published.Row."""
    ranked = rating is not None
    usual: dict[str, Any] = dict.fromkeys(Row.__dataclass_fields__)
    usual |= {"name": f"Model {place}", "slug": f"model-{place}", "organisation": "Org", "licence": "", "adapter": ""}
    usual |= {
        "open_weights": False,
        "retired": False,
        "standing": "ranked" if ranked else "unbeaten",
        "key": str(place),
    }
    usual |= {"place": place, "rating": rating, "votes": 100, "wins": 50, "losses": 40, "ties": 10, "win_rate": 0.55}
    if rating is not None:
        usual |= {"lower": rating - 20, "upper": rating + 20, "rank": place + 1, "rank_worst": place + 1}
        usual |= {"joint_lower": rating - 30, "joint_upper": rating + 30}
    return Row(**(usual | fields))


def board(*rows: Row, key: Key | None = None, met: int = 10, **figures: Any) -> Board:
    """Each two rows have met `met` times and shared the points; `figures` are those of board_format.Board."""
    size, whole = (
        len(rows),
        board_format.Board(
            version=2,
            state="fitted",
            method={"helped_replicates": 0, "replicates": 1000},
            models=[],
            pairs={
                "battles": [[met * (i != j) for j in range(len(rows))] for i in range(len(rows))],
                "points": [[met / 2 * (i != j) for j in range(len(rows))] for i in range(len(rows))],
                "ties": [[0] * len(rows) for _ in rows],
            },
        ),
    )
    return Board(
        snapshot=SNAPSHOT,
        key=key or Key("live"),
        votes=met * size * (size - 1) // 2,
        seed=1,
        fitted_at=now(),
        published_at=now(),
        log_entry=None,
        rows=tuple(rows),
        figures=replace(whole, **figures),
    )


def ladder(size: int, step: float = 10.0, **fields: Any) -> list[Row]:
    """Ranked rows, the first one best."""
    return [row(i, 1000 + step * ((size - 1) / 2 - i), **fields) for i in range(size)]
