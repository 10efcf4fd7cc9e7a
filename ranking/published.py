"""The board as people may see it: a stored snapshot, joined with the names that are public today.

Nothing of a contestant under a codename passes through here but the codename, its end date and its figures: search, sorting,
filters, downloads and plots all work on these rows, so that none of them can tell what the page hides.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery

from arena import clock
from arena.models import Contestant, ContestantRevision, SiteConfig
from arena.models.battles import Origin
from arena.models.contestants import Visibility
from arena.models.site import BoardSource
from ranking.models import BoardSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One model. Rating, bounds (95 %) and ranks are null unless `standing` is "ranked".

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
    """A published board. `rows` in its own order: by rank, then rating; models without a rating last."""

    snapshot: UUID
    origin: str
    votes: int
    seed: int
    fitted_at: datetime
    state: str
    method: dict[str, Any]
    rows: tuple[Row, ...]
    pairs: dict[str, Any]

    @property
    def demo(self) -> bool:
        return self.origin == Origin.DEMO

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


NAMES = ("pk", "name", "slug", "codename", "anonymous_until", "visibility", "organisation", "licence", "open_weights")


def shown() -> Shown | None:
    """What the site shows now: the live board, or the demo's until the first live votes (SiteConfig.board_source)."""
    snapshot = _choose(_source(), {one.origin: one for one in _latest()})
    if snapshot is None:
        return None
    named = Contestant.objects.annotate(adapter_name=Subquery(_ADAPTER)).order_by("pk")
    return Shown(snapshot.pk, clock.now().date(), tuple(named.values_list(*NAMES, "adapter_name")))


def current() -> Board | None:
    """The board that the site shows now, read once per process as long as nothing of it changes."""
    return board_as(state) if (state := shown()) else None


@lru_cache(maxsize=4)
def board_as(state: Shown) -> Board | None:
    """None for a snapshot that has just been removed."""
    snapshot = BoardSnapshot.objects.filter(pk=state.snapshot).first()
    return board_of(snapshot) if snapshot else None


def _source() -> str:
    return SiteConfig.objects.values_list("board_source", flat=True).first() or BoardSource.AUTO


def _latest() -> Iterable[BoardSnapshot]:
    public = BoardSnapshot.objects.filter(origin__in=[Origin.LIVE, Origin.DEMO], category="").only("origin", "votes")
    return public.order_by("origin", "-fitted_at", "-id").distinct("origin")


def _choose(source: str, latest: dict[str, BoardSnapshot]) -> BoardSnapshot | None:
    live, demo = latest.get(Origin.LIVE), latest.get(Origin.DEMO)
    if source == BoardSource.LIVE:
        return live
    if source == BoardSource.DEMO:
        return demo
    return live if live and live.votes else demo or live


_ADAPTER = ContestantRevision.objects.filter(contestant=OuterRef("pk"), current=True).values("adapter_id")[:1]


def board_of(snapshot: BoardSnapshot) -> Board:
    """Raises KeyError when a contestant of the board is gone, which the database forbids."""
    ids = [figures["model"] for figures in snapshot.board["models"]]
    named = Contestant.objects.filter(pk__in=ids).annotate(adapter_name=Subquery(_ADAPTER))
    contestants = {str(contestant.pk): contestant for contestant in named}
    rows = [_row(place, figures, contestants) for place, figures in enumerate(snapshot.board["models"])]
    return Board(
        snapshot=snapshot.pk,
        origin=snapshot.origin,
        votes=snapshot.votes,
        seed=snapshot.seed,
        fitted_at=snapshot.fitted_at,
        state=snapshot.board["state"],
        method=snapshot.board["method"],
        rows=tuple(rows),
        pairs=snapshot.board["pairs"],
    )


def _row(place: int, figures: dict[str, Any], contestants: dict[str, Any]) -> Row:
    contestant = contestants[figures["model"]]
    hidden = contestant.anonymous
    return Row(
        place=place,
        key=figures["model"],
        name=contestant.display_name,
        slug=contestant.public_slug,
        organisation="" if hidden else contestant.organisation,
        licence="" if hidden else contestant.licence,
        adapter="" if hidden else contestant.adapter_name or "",
        open_weights=not hidden and contestant.open_weights,
        retired=not hidden and contestant.visibility == Visibility.RETIRED,
        anonymous_until=contestant.anonymous_until if hidden else None,
        **{name: value for name, value in figures.items() if name in PUBLIC},
    )
