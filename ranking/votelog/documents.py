"""A published board as a document of the log: what its publication's line holds the SHA-256 of.

It has the log's ids instead of names, because names change on the day a codename ends and the document must not.
"""

from dataclasses import fields
from typing import Any
from uuid import UUID

from arena.models.battles import Origin
from ranking.board import board_format
from ranking.models import BoardSnapshot, PairCount
from ranking.votelog import chain, names

FIGURES = {one.name for one in fields(board_format.Board)}  # the rest of a snapshot is no part of what the votes say


def document(snapshot: BoardSnapshot) -> dict[str, Any]:
    """Of a snapshot as the database returns it: jsonb writes some numbers otherwise than Python does."""
    keys = [model["model"] for model in snapshot.board["models"]]
    ids = {key: names.contestant(UUID(key)) for key in keys}
    figures = {name: value for name, value in snapshot.board.items() if name in FIGURES}
    return {
        "format": chain.FORMAT,
        "origin": snapshot.origin,
        "category": snapshot.category,
        "controlled": snapshot.controlled,
        "votes": snapshot.votes,
        "seed": snapshot.seed,
        "board": _renamed(figures, ids),
    }


def order() -> list[str]:
    """Every model with votes in the order in which fits have them, which their replicates depend on."""
    live = PairCount.objects.filter(origin=Origin.LIVE, category="")
    sides = [set(live.values_list(side, flat=True).distinct()) for side in ("first_id", "second_id")]
    return [names.contestant(key) for key in sorted(sides[0] | sides[1])]


def signature(snapshot: BoardSnapshot) -> dict[str, Any]:
    """What the line of a publication says of a board."""
    shown = {"category": snapshot.category, "controlled": snapshot.controlled, "votes": snapshot.votes}
    return shown | {"sha256": chain.digest(chain.encode(document(snapshot)))}


def _renamed(value: Any, ids: dict[str, str]) -> Any:
    """Every contestant's key, wherever it stands, as its id in the log."""
    if isinstance(value, dict):
        return {ids.get(key, key): _renamed(one, ids) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, ids) for one in value]
    return ids.get(value, value) if isinstance(value, str) else value
