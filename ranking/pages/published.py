"""The board as people may see it: a stored snapshot, joined with the names that are public today.

Nothing of a contestant under a codename passes through here but the codename, its end date and its figures: search, sorting,
filters, downloads and plots all work on these rows, so that none of them can tell what the page hides.
"""

from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery

from arena import clock
from arena.models import Contestant, ContestantRevision
from arena.models.contestants import Visibility
from ranking.board import board_format
from ranking.board.board_format import Ends
from ranking.fits import boards
from ranking.fits.boards import Asked, Key
from ranking.models import BoardSnapshot
from ranking.pages import pair_tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One model; `ranking.board.board_format.Model` says what its figures mean. They are null unless `standing` is "ranked".

    Under a codename, `name` and `slug` are the codename's, who made it is empty, and `anonymous_until` says for how long.
    """

    # The fields of the API and of the JSON download: a field more here is a field more there.
    name: str
    slug: str
    organisation: str
    licence: str
    open_weights: bool
    adapter: str
    retired: bool
    anonymous_until: date | None
    standing: str
    rank: int | None
    rank_worst: int | None
    rating: float | None
    lower: float | None
    upper: float | None
    votes: int
    wins: int
    losses: int
    ties: int
    win_rate: float
    both_bad: int | None
    first_rate: float | None
    rank_lower: int | None
    rank_upper: int | None
    p_first: float | None
    se: float | None
    joint_lower: float | None
    joint_upper: float | None
    battle: Ends | None
    quantiles: list[float] | None
    adjacent: float | None
    effective_judges: float | None
    raw_rating: float | None
    reweighted: float | None
    drift_p: float | None
    price_in: float | None  # per million tokens
    price_out: float | None
    replies: int | None  # that the next three are of; see ranking.fits.service_figures
    first_token_s: list[float] | None
    tokens_per_s: list[float] | None
    failure_rate: float | None


FIGURES = tuple(one.name for one in fields(board_format.Model) if one.name != "model")
SERVICE = ("replies", "first_token_s", "tokens_per_s", "failure_rate")
PUBLIC = tuple(field.name for field in fields(Standing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Standing):
    """One model of a board, with what stays inside: its row in `pairs`, and `key`, the contestant's id."""

    place: int
    key: str

    def public(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in PUBLIC}

    @property
    def ranked(self) -> bool:
        return self.rating is not None

    @property
    def margin(self) -> float | None:
        """Half the width of the interval."""
        return None if self.upper is None or self.lower is None else (self.upper - self.lower) / 2


@dataclass(frozen=True, slots=True)
class Board:
    """A published board. `rows` in its own order: by rank, then rating; models without a rating last.

    `figures` are those of the board as a whole (position, ties, claims ...); a place in them is a position in `rows`. The models
    are in `rows` alone, and `pairs` are read apart, so that a process can keep many boards.
    """

    snapshot: UUID
    key: Key
    votes: int
    seed: int
    log_entry: int | None  # the line of the vote log that it was published with
    fitted_at: datetime
    published_at: datetime
    rows: tuple[Row, ...]
    figures: board_format.Board
    service: dict[str, Any] | None = None  # ranking.fits.service_figures
    sampling: dict[str, Any] | None = None  # ranking.fits.sampling_ledger
    topics: dict[str, Any] | None = None  # ranking.fits.topics
    planning: list[dict[str, Any]] | None = None  # ranking.fits.planning_facts; operators only

    @property
    def origin(self) -> str:
        return self.key.origin

    @property
    def state(self) -> str:
        return self.figures.state

    @property
    def method(self) -> dict[str, Any]:
        return self.figures.method

    @property
    def pairs(self) -> dict[str, Any]:
        """Tables of row against column; read when they are asked for. Raises Http404 for a board that has just been removed."""
        return self.figures.pairs or pair_tables.of(self.snapshot)

    @property
    def demo(self) -> bool:
        return self.key.demo

    @property
    def ranked(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.ranked)

    @property
    def unranked(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.ranked)

    @property
    def helped_share(self) -> float:
        """Part of the replicates that had no estimate of their own (see ranking.estimators.bootstrap)."""
        return float(self.method["helped_replicates"] / self.method["replicates"])

    def battles(self, row: Row, column: Row) -> int:
        return int(self.pairs["battles"][row.place][column.place])

    def ties(self, row: Row, column: Row) -> int:
        return int(self.pairs["ties"][row.place][column.place])

    def win_rate(self, row: Row, column: Row) -> float | None:
        """Points of row per battle against column; None when they have not met."""
        met = self.battles(row, column)
        return self.pairs["points"][row.place][column.place] / met if met else None


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a page of the board is made from today. Equal values make equal pages, so what is made can be kept by them."""

    snapshot: UUID
    day: date
    names: tuple[tuple[Any, ...], ...]
    boards: tuple[Key, ...]  # all that can be chosen


NAMES = (
    *("pk", "name", "slug", "codename", "anonymous_until", "visibility", "organisation", "licence", "open_weights"),
    *("price_in", "price_out"),
)


def shown(asked: Asked = boards.DEFAULT) -> Shown | None:
    """What the site shows now of the board asked for; None when there is none. By default the one that the site opens with."""
    entries = boards.published()
    entry = boards.choose(entries, asked)
    if entry is None:
        return None
    named = Contestant.objects.annotate(adapter_name=Subquery(_ADAPTER)).order_by("pk")
    names = tuple(named.values_list(*NAMES, "adapter_name"))
    return Shown(entry.snapshot, clock.now().date(), names, tuple(one.key for one in entries))


def current(asked: Asked = boards.DEFAULT) -> Board | None:
    """The board that the site shows now, read once per process as long as nothing of it changes."""
    return board_as(state) if (state := shown(asked)) else None


@lru_cache(maxsize=4)
def board_as(state: Shown) -> Board | None:
    """None for a snapshot that has just been removed."""
    snapshot = BoardSnapshot.objects.filter(pk=state.snapshot).first()
    return replace(board_of(snapshot), planning=None) if snapshot else None


_ADAPTER = ContestantRevision.objects.filter(contestant=OuterRef("pk"), current=True).values("adapter_id")[:1]


def board_of(snapshot: BoardSnapshot) -> Board:
    """Raises KeyError when a contestant of the board is gone, which the database forbids."""
    figures = board_format.read(snapshot.board)
    ids = [model.model for model in figures.models]
    named = Contestant.objects.filter(pk__in=ids).annotate(adapter_name=Subquery(_ADAPTER))
    contestants = {str(contestant.pk): contestant for contestant in named}
    beside = _beside(snapshot)
    measured = (beside["service"] or {}).get("models", {})
    return Board(
        snapshot=snapshot.pk,
        key=Key.of(snapshot),
        votes=snapshot.votes,
        seed=snapshot.seed,
        log_entry=snapshot.log_entry,
        fitted_at=snapshot.fitted_at,
        published_at=snapshot.published_at or snapshot.fitted_at,
        rows=tuple(_row(place, model, contestants, measured) for place, model in enumerate(figures.models)),
        figures=replace(figures, models=[], pairs={}),
        **beside,
    )


BESIDE = ("service", "sampling", "topics", "planning")  # the first two are told of the origin's other boards, too


def _beside(snapshot: BoardSnapshot) -> dict[str, Any]:
    """What was measured, not fitted: stored with the overall board of an origin, and true of its other boards too."""
    if Key.of(snapshot) == Key(snapshot.origin):
        return {name: snapshot.board.get(name) for name in BESIDE}
    overall = BoardSnapshot.objects.published().filter(
        origin=snapshot.origin, category=boards.OVERALL, controlled=False
    )
    told = overall.order_by("-published_at", "-id").values_list("board__service", "board__sampling").first()
    return dict(zip(BESIDE, (*(told or (None, None)), None, None), strict=True))


def _row(place: int, model: board_format.Model, contestants: dict[str, Any], measured: dict[str, Any]) -> Row:
    contestant = contestants[model.model]
    hidden = contestant.anonymous
    return Row(
        place=place,
        key=model.model,
        name=contestant.display_name,
        slug=contestant.public_slug,
        organisation="" if hidden else contestant.organisation,
        licence="" if hidden else contestant.licence,
        adapter="" if hidden else contestant.adapter_name or "",
        open_weights=not hidden and contestant.open_weights,
        retired=not hidden and contestant.visibility == Visibility.RETIRED,
        anonymous_until=contestant.anonymous_until if hidden else None,
        price_in=None if hidden or contestant.price_in is None else float(contestant.price_in),
        price_out=None if hidden or contestant.price_out is None else float(contestant.price_out),
        **{name: measured.get(model.model, {}).get(name) for name in SERVICE},
        **{name: getattr(model, name) for name in FIGURES},
    )
