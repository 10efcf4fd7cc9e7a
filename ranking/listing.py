"""Searching, filtering and sorting the board, all by the address of the page: no script needed, every view can be linked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from ranking.published import Board, Row

MAX_SEARCH = 80

# name in the address: heading, what it sorts by, and whether large values come first
COLUMNS: dict[str, tuple[Any, Callable[[Row], Any], bool]] = {
    "rank": (_("Rank"), lambda row: row.rank, False),
    "model": (_("Model"), lambda row: row.name.casefold(), False),
    "rating": (_("Rating"), lambda row: row.rating, True),
    "win_rate": (_("Win rate"), lambda row: row.win_rate, True),
    "votes": (_("Votes"), lambda row: row.votes, True),
}


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

    @classmethod
    def of(cls, asked: QueryDict) -> "Listing":
        """Anything that makes no sense is taken as the default."""
        sort = asked.get("sort", "rank")
        sort = sort if sort in COLUMNS else "rank"
        order = asked.get("order", "")
        descending = order == "desc" if order in ("asc", "desc") else COLUMNS[sort][2]
        return cls(asked.get("q", "").strip()[:MAX_SEARCH], asked.get("open") == "1", sort, descending)

    def rows(self, board: Board) -> list[Row]:
        wanted = [row for row in board.rows if self._matches(row)]
        value = COLUMNS[self.sort][1]
        known = [row for row in wanted if value(row) is not None]
        unknown = [row for row in wanted if value(row) is None]  # at the end, either way round
        return sorted(known, key=value, reverse=self.descending) + unknown

    def _matches(self, row: Row) -> bool:
        words = f"{row.name} {row.organisation} {row.licence}".casefold()
        return self.search.casefold() in words and (row.open_weights or not self.open_only)

    def headings(self) -> list[Heading]:
        return [self._heading(key, str(label), large_first) for key, (label, _value, large_first) in COLUMNS.items()]

    def _heading(self, key: str, label: str, large_first: bool) -> Heading:
        here = key == self.sort
        descending = not self.descending if here else large_first
        query = {"q": self.search, "open": "1" if self.open_only else "", "sort": key}
        query["order"] = "desc" if descending else "asc"
        aria = ("descending" if self.descending else "ascending") if here else ""
        return Heading(key, label, urlencode({name: value for name, value in query.items() if value}), aria)
