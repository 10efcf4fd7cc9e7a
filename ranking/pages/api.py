"""/api/v1/leaderboard: the published boards, as the pages show them. Nothing newer than a snapshot passes here (S25)."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_noop
from ninja import Query, Router, Schema

from arena.problems import documented, problem
from ranking.board import board_format
from ranking.fits import boards, history
from ranking.fits.boards import Asked
from ranking.pages import matrices, published
from ranking.pages.published import Board, Row, Standing
from ranking.votelog import names

router = Router(tags=["leaderboard"])

Style = Literal["off", "on"]
ORIGIN = Query(
    "", max_length=60, description=gettext_noop("live, demo or import:NAME; by default the site's own board.")
)
CATEGORY = Query("", max_length=40, description=gettext_noop("By default every vote."))
STYLE = Query("off", description=gettext_noop("on: the board with the effect of style taken out."))
NO_BOARD = "There is no such board. /api/v1/leaderboard/boards lists those that have been published."
SERIES_MOST, POINTS_MOST, PAIRS_MOST = 10, 1000, 200


class Method(Schema):
    """How the figures were computed; docs/ranking.md has the formulas."""

    model: str
    ties: str
    centre: float
    scale: float
    gauge: str
    interval: str
    level: str | None = None
    confidence: float
    replicates: int


class Named(Schema):
    """Which board: `style` is on or off. `synthetic` boards are the demo's: nobody cast those votes."""

    snapshot: UUID
    published: datetime
    origin: str
    category: str
    style: Style
    synthetic: bool
    votes: int


class Figures(Schema):
    """Of the board as a whole. `better`, `worse`, `leader` and `runner_up` are places: positions in `models`, from 0."""

    position: board_format.Position | None
    ties: board_format.Ties | None
    claims: list[board_format.Claim] | None
    certificate: board_format.Certificate | None
    drift: board_format.Drift | None
    cycles: board_format.Cycles | None
    style: board_format.Style | None
    sure: board_format.Sure | None
    clusters: board_format.Clusters | None
    shrinkage: board_format.Shrinkage | None


class Leaderboard(Schema):
    """A published board. A figure of the board as a whole that is null has its reason in `why`."""

    snapshot: UUID
    published: datetime
    origin: str
    synthetic: bool
    state: str
    votes: int
    seed: int
    method: Method
    models: list[Standing]
    category: str
    style: Style
    figures: Figures
    why: dict[str, str]
    log_entry: int | None


class Boards(Schema):
    boards: list[Named]


class Series(Schema):
    name: str
    slug: str
    points: list[history.Point]


class History(Schema):
    """Ratings of some models over the publications of a board, oldest first."""

    board: Named
    series: list[Series]


class Pairs(Schema):
    """Row against column in the order of `models` (slugs). `expected`: the win rate that the two ratings predict."""

    board: Named
    models: list[str]
    battles: list[list[int]]
    ties: list[list[int]]
    win_rate: list[list[float | None]]
    expected: list[list[float | None]]


@router.get(
    "",
    response=Leaderboard,
    summary=gettext_noop("The published leaderboard"),
    operation_id="leaderboard",
    openapi_extra=documented(404, 422),
)
def leaderboard(
    request: HttpRequest, origin: str = ORIGIN, category: str = CATEGORY, style: Style = STYLE
) -> dict[str, Any]:
    """The board that the site shows now, or the one asked for, best first. It changes only when a board is published."""
    return as_json(_board(Asked(origin, category, style)))


@router.get(
    "/boards",
    response=Boards,
    summary=gettext_noop("All published boards"),
    operation_id="boards",
    openapi_extra=documented(),
)
def every_board(request: HttpRequest) -> dict[str, Any]:
    """What `origin`, `category` and `style` may be: one entry per board that has been published."""
    return {"boards": [_named(entry) for entry in boards.published()]}


@router.get(
    "/history",
    response=History,
    summary=gettext_noop("Ratings over time"),
    operation_id="history",
    openapi_extra=documented(404, 422),
)
def over_time(
    request: HttpRequest,
    origin: str = ORIGIN,
    category: str = CATEGORY,
    style: Style = STYLE,
    model: list[str] = Query(
        [], max_length=SERIES_MOST, description=gettext_noop("Slugs; by default the first five of the board.")
    ),
    since: date | None = Query(None, description=gettext_noop("First day (UTC).")),
    until: date | None = Query(None, description=gettext_noop("Last day (UTC).")),
    limit: int = Query(100, ge=1, le=POINTS_MOST, description=gettext_noop("Newest publications of the range.")),
) -> dict[str, Any] | HttpResponse:
    """Each model's rating, interval, rank and votes on each published board; older days keep their last board alone."""
    if since and until and since > until:
        return problem(422, "since: is after until")
    board = _board(Asked(origin, category, style))
    rows = _rows(board, model)
    points = history.series(board.key, [row.key for row in rows], limit, since, until)
    series = [{"name": row.name, "slug": row.slug, "points": points[row.key]} for row in rows]
    return {"board": _named(board), "series": series}


@router.get(
    "/pairs",
    response=Pairs,
    summary=gettext_noop("Who beats whom"),
    operation_id="pairs",
    openapi_extra=documented(404, 422),
)
def pairs(
    request: HttpRequest,
    origin: str = ORIGIN,
    category: str = CATEGORY,
    style: Style = STYLE,
    limit: int = Query(50, ge=2, le=PAIRS_MOST, description=gettext_noop("The first models of the board.")),
) -> dict[str, Any]:
    """Battles, ties and win rate of each pair of the board's first models, and what their ratings predict."""
    board = _board(Asked(origin, category, style))
    return {"board": _named(board), **matrices.of(board, limit)}


def as_json(board: Board) -> dict[str, Any]:
    shown = {name: getattr(board, name) for name in ("state", "seed", "method", "log_entry")}
    figures = {name: getattr(board.figures, name) for name in board_format.FIGURES}
    why = {name: board.figures.why[name] for name, figure in figures.items() if figure is None}
    return _named(board) | shown | {"figures": figures, "why": why, "models": [row.public() for row in board.rows]}


def _board(asked: Asked) -> Board:
    board = published.current(asked)
    if board is None and asked == Asked():
        raise Http404("No board has been published yet.")
    if board is None:
        raise Http404(NO_BOARD)
    return board


def _named(board: Board | boards.Entry) -> dict[str, Any]:
    key = board.key
    named = {"origin": key.origin, "category": key.category, "style": key.style, "synthetic": key.demo}
    return named | {"snapshot": names.snapshot(board.snapshot), "published": board.published_at, "votes": board.votes}


def _rows(board: Board, slugs: list[str]) -> list[Row]:
    by_slug = {row.slug: row for row in board.rows}
    if unknown := [slug for slug in slugs if slug not in by_slug]:
        raise Http404(f"No model of this board has the slug {unknown[0][:80]!r}.")
    return [by_slug[slug] for slug in dict.fromkeys(slugs)] or list(board.rows[:5])
