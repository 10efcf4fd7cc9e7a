"""Searching, filtering and sorting the board, all by the address of the page: no script needed, every view can be linked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from ranking.fits.boards import Asked
from ranking.pages import choosing
from ranking.pages.plots import price
from ranking.pages.published import Board, Row

MAX_SEARCH = 80


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the board: its heading, what it sorts by, whether large values come first, and where a phone shows it.

    Only columns with a value in some row are shown. `wide`: left out of the phone's cards unless it is sorted by.
    """

    label: Any
    value: Callable[[Row], Any]
    large_first: bool
    table: bool = True  # False: it is part of another column, and only sorts


def _median(pair: list[float] | None) -> float | None:
    return pair[0] if pair else None


COLUMNS: dict[str, Column] = {
    "rank": Column(_("Rank"), lambda row: row.rank, False),
    "model": Column(_("Model"), lambda row: row.name.casefold(), False),
    "rating": Column(_("Rating"), lambda row: row.rating, True),
    "first": Column(_("P(first)"), lambda row: row.p_first, True),
    "places": Column(_("Places"), lambda row: row.rank_lower, False),
    "win_rate": Column(_("Win rate"), lambda row: row.win_rate, True),
    "votes": Column(_("Votes"), lambda row: row.votes, True),
    "price": Column(_("Price"), price.blended, False),
    "latency": Column(_("First token"), lambda row: _median(row.first_token_s), False),
    "speed": Column(_("Tokens/s"), lambda row: _median(row.tokens_per_s), True),
    "failures": Column(_("Failures"), lambda row: row.failure_rate, False),
    "organisation": Column(_("Organisation"), lambda row: row.organisation.casefold() or None, False, table=False),
    "licence": Column(_("Licence"), lambda row: row.licence.casefold() or None, False, table=False),
}
ALWAYS = ("rank", "model", "rating", "win_rate", "votes")


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's heading: `query` is the address that sorts by it (again: the other way round); `aria` is aria-sort."""

    key: str
    label: str
    query: str
    aria: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What the address asks for."""

    search: str
    open_only: bool
    sort: str
    descending: bool
    asked: Asked = field(default_factory=Asked)

    @classmethod
    def of(cls, asked: QueryDict) -> "Listing":
        """Anything that makes no sense is taken as the default."""
        sort = asked.get("sort", "rank")
        sort = sort if sort in COLUMNS else "rank"
        order = asked.get("order", "")
        descending = order == "desc" if order in ("asc", "desc") else COLUMNS[sort].large_first
        search = asked.get("q", "").strip()[:MAX_SEARCH]
        return cls(search, asked.get("open") == "1", sort, descending, Asked.of(asked))

    def rows(self, board: Board) -> list[Row]:
        wanted = [row for row in board.rows if self._matches(row)]
        value = COLUMNS[self.sort].value
        known = [row for row in wanted if value(row) is not None]
        unknown = [row for row in wanted if value(row) is None]  # at the end, either way round
        return sorted(known, key=value, reverse=self.descending) + unknown

    def _matches(self, row: Row) -> bool:
        words = f"{row.name} {row.organisation} {row.licence}".casefold()
        return self.search.casefold() in words and (row.open_weights or not self.open_only)

    def headings(self, board: Board) -> list[Heading]:
        """Of the columns that the board has a value for."""
        return [self._heading(name, COLUMNS[name]) for name in columns(board)]

    def _heading(self, key: str, column: Column) -> Heading:
        here = key == self.sort
        descending = not self.descending if here else column.large_first
        query = choosing.parts(self.asked) | {"q": self.search, "open": "1" if self.open_only else "", "sort": key}
        query["order"] = "desc" if descending else "asc"
        aria = ("descending" if self.descending else "ascending") if here else ""
        return Heading(key, str(column.label), urlencode({name: value for name, value in query.items() if value}), aria)

    def orders(self) -> list[tuple[str, Any, bool]]:
        """(value, label, selected) of everything that can be sorted by: a phone has no headings to follow."""
        return [(name, column.label, name == self.sort) for name, column in COLUMNS.items()]


def columns(board: Board) -> list[str]:
    shown = (name for name, column in COLUMNS.items() if column.table)
    return [name for name in shown if name in ALWAYS or any(COLUMNS[name].value(row) is not None for row in board.rows)]
