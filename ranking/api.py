"""/api/v1/leaderboard: the published board, as the page shows it. Nothing newer than the snapshot passes through here (S25)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.utils.translation import gettext_noop
from ninja import Router, Schema

from arena.problems import documented
from ranking import published
from ranking.published import Board, Standing

router = Router(tags=["leaderboard"])


class Method(Schema):
    """How the figures were computed; docs/ranking.md has the formulas."""

    model: str
    ties: str
    centre: float
    scale: float
    gauge: str
    interval: str
    confidence: float
    replicates: int


class Leaderboard(Schema):
    """A published board. `synthetic` boards are the demo's: nobody cast those votes."""

    snapshot: UUID
    published: datetime
    origin: str
    synthetic: bool
    state: str
    votes: int
    seed: int
    method: Method
    models: list[Standing]


@router.get(
    "",
    response=Leaderboard,
    summary=gettext_noop("The published leaderboard"),
    operation_id="leaderboard",
    openapi_extra=documented(404),
)
def leaderboard(request: HttpRequest) -> dict[str, Any]:
    """The board that the site shows now, best first. It changes only when a new snapshot is published."""
    board = published.current()
    if board is None:
        raise Http404("No board has been published yet.")
    return as_json(board)


def as_json(board: Board) -> dict[str, Any]:
    names = ("snapshot", "origin", "state", "votes", "seed", "method")
    shown = {name: getattr(board, name) for name in names}
    models = [row.public() for row in board.rows]
    return shown | {"published": board.published_at, "synthetic": board.demo, "models": models}
