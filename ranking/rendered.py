"""The table and the plots of the board's page, rendered once per state of the board and kept by the process.

What a page is made from is read anew at each request (`published.shown`: three small queries), so a new snapshot, a new name or
the end of a codename shows at once in every process; only the work of turning it into HTML is saved.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from arena.models import Contestant
from ranking import plots, published
from ranking.listing import Listing
from ranking.published import Board, Row, Shown

KEPT = 64  # orders, searches and languages of one board; about 100 kB each


@dataclass(frozen=True, slots=True)
class Figures:
    """`rows` with their interval bars as HTML, in the order asked for; `html` holds them and the plots."""

    board: Board
    rows: list[tuple[Row, SafeString]]
    html: SafeString
    codenames: int


def figures(listing: Listing) -> Figures | None:
    """The shown board in the active language, None when there is none."""
    state = published.shown()
    return _figures(state, listing, get_language()) if state else None


@lru_cache(maxsize=KEPT)
def _figures(state: Shown, listing: Listing, language: str | None) -> Figures | None:
    board = published.board_as(state)
    if board is None:
        return None
    scale = plots.Scale.of(board.rows, plots.BAR_WIDTH)
    rows = [(row, plots.interval_bar(row, scale)) for row in listing.rows(board)]
    context: dict[str, Any] = {"board": board, "listing": listing, "rows": rows}
    context["interval_plot"] = plots.interval_plot(board.rows)
    context["heat_map"], context["heat_rows"] = plots.heat_map(board), plots.heat_table(board)
    html = render_to_string("ranking/figures.html", context)
    return Figures(board, rows, html, Contestant.objects.under_codename().count())
