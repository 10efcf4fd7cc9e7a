"""Who met whom on a published board, read apart from the board: the tables grow with the square of the models.

Kept by the process as flat numbers, for the boards that were asked for last (500 models: about 8 MB each); most pages need none.
"""

from array import array
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.http import Http404

from ranking.models import BoardSnapshot

KEPT = 4


@lru_cache(maxsize=KEPT)
def of(snapshot: UUID) -> dict[str, Any]:
    """`pairs` of board_format.Board, its tables as lists of arrays. Raises Http404 for a board that has just been removed."""
    stored = BoardSnapshot.objects.filter(pk=snapshot).values_list("board__pairs", flat=True).first()
    if stored is None:
        raise Http404("This board has been removed.")
    return {name: [_flat(row) for row in rows] if name != "fit_order" else rows for name, rows in stored.items()}


def _flat(row: list[float]) -> "array[Any]":
    return array("q", row) if all(isinstance(value, int) for value in row) else array("d", row)


def as_json(pairs: dict[str, Any]) -> dict[str, Any]:
    return {name: [list(row) if isinstance(row, array) else row for row in rows] for name, rows in pairs.items()}
