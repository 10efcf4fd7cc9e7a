"""What the board's pages are made of, rendered once per state of the board and kept by the process.

What a page is made from is read anew at each request (`published.shown`: three small queries), so a new snapshot, a new name or
the end of a codename shows at once in every process; only the work of turning it into HTML is saved.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from arena.models import Contestant
from ranking.fits import history
from ranking.fits.boards import OFF, OVERALL, Asked, Key
from ranking.pages import choosing, ledger_page, listing, published, sure
from ranking.pages.choosing import Chooser
from ranking.pages.listing import Listing
from ranking.pages.plots import distribution, intervals, matrices, price
from ranking.pages.plots import history as ratings
from ranking.pages.plots.axes import Plot
from ranking.pages.published import Board, Row, Shown

KEPT = 64  # orders, searches and languages of one board; about 100 kB each
KEPT_PLOTS = 8  # boards and languages; about 400 kB each
PUBLICATIONS = 200  # of the ratings over time


@dataclass(frozen=True, slots=True)
class Figures:
    """`rows` with their interval bars as HTML, in the order asked for; `html` holds them and what they say."""

    board: Board
    asked: Asked
    chooser: Chooser
    rows: list[tuple[Row, SafeString]]
    html: SafeString
    codenames: int


@dataclass(frozen=True, slots=True)
class Page:
    """Another page of the same board; `missed`: of the nearest one, because the one asked for does not exist."""

    board: Board
    chooser: Chooser
    html: SafeString
    missed: bool = False


def figures(listing: Listing) -> Figures | None:
    """The board asked for in the active language, None when there is none."""
    state, asked = _nearest(listing.asked)
    return _figures(state, replace(listing, asked=asked), get_language()) if state else None


def _nearest(asked: Asked) -> tuple[Shown | None, Asked]:
    """What is shown of the board asked for, or the nearest one: without style control, of all prompts, the site's own."""
    for other in (asked, replace(asked, style=OFF), replace(asked, style=OFF, category=OVERALL), Asked()):
        if state := published.shown(other):
            return state, other
    return None, asked


@lru_cache(maxsize=KEPT)
def _figures(state: Shown, wanted: Listing, language: str | None) -> Figures | None:
    board = published.board_as(state)
    if board is None:
        return None
    scale = intervals.scale_of(board.rows, intervals.BAR_WIDTH)
    rows = [(row, intervals.bar(row, scale)) for row in wanted.rows(board)]
    chooser = choosing.chooser(board.key, state.boards, wanted.asked)
    context: dict[str, Any] = {"board": board, "listing": wanted, "rows": rows, "chooser": chooser}
    context |= {"headings": wanted.headings(board), "columns": listing.columns(board)}
    context |= {"sentences": sure.sentences(board), "missing": sure.missing(board)}
    html = render_to_string("ranking/figures.html", context)
    return Figures(board, wanted.asked, chooser, rows, html, Contestant.objects.under_codename().count())


def plots(asked: Asked) -> Page | None:
    state, nearest = _nearest(asked)
    page = _plots(state, nearest, get_language()) if state else None
    return replace(page, missed=nearest != asked) if page else None


@lru_cache(maxsize=KEPT_PLOTS)
def _plots(state: Shown, asked: Asked, language: str | None) -> Page | None:
    board = published.board_as(state)
    if board is None:
        return None
    html = render_to_string("ranking/plots_of.html", {"plots": plots_of(board), "board": board})
    return Page(board, choosing.chooser(board.key, state.boards, asked), html)


def sampling(origin: str) -> Page | None:
    """The ledger of an origin, whatever the category."""
    asked = Asked(origin=origin[:60])
    state, nearest = _nearest(asked)
    page = _sampling(state, nearest, get_language()) if state else None
    return replace(page, missed=nearest != asked) if page else None


@lru_cache(maxsize=KEPT_PLOTS)
def _sampling(state: Shown, asked: Asked, language: str | None) -> Page | None:
    board = published.board_as(state)
    if board is None:
        return None
    html = render_to_string("ranking/sampling_of.html", {"ledger": ledger_page.ledger(board)})
    overall = [key for key in state.boards if key == Key(key.origin)]
    return Page(board, choosing.chooser(board.key, overall, asked), html)


def plots_of(board: Board) -> list[Plot]:
    """Every plot that the board has figures for."""
    ranked = [row.key for row in board.ranked[: ratings.MOST]]
    over_time = history.series(board.key, ranked, PUBLICATIONS)
    made = [
        intervals.plot(board),
        distribution.plot(board),
        matrices.win_rates(board),
        matrices.battles(board),
        ratings.plot(board.rows, over_time),
        price.plot(board),
    ]
    return [plot for plot in made if plot]
