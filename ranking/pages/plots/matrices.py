"""Matrices of row against column: who beats whom, and how often they have met. A number in each cell beside its colour."""

from collections.abc import Callable
from math import log

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ranking.pages.plots import axes
from ranking.pages.plots.axes import Plot
from ranking.pages.published import Board, Row

MOST = 20  # bounds the page: 20 x 20 cells are about 60 kB
STEPS = 10
CELL, LEFT, TOP = 44, 230, 30

Cell = tuple[str, str, str]  # class, text, title


def win_rates(board: Board) -> Plot | None:
    def cell(row: Row, column: Row) -> Cell | None:
        rate = board.win_rate(row, column)
        if rate is None:
            return None
        title = f"{row.name} – {column.name}: {axes.percent(rate)} ({board.battles(row, column)})"
        return f"h{round(rate * STEPS)}", str(round(rate * 100)), title

    caption = _(
        "Win rate in per cent of the row's model against the column's; a tie is half a win. "
        "Blue: the row wins more often, rust: the column does. Empty: they have not met."
    )
    label = _("Win rates of %(n)s models against each other; the table below holds the same figures")
    return _matrix(board, "rates", _("Who beats whom"), label, caption, cell)


def battles(board: Board) -> Plot | None:
    most = max((max(line) for line in board.pairs["battles"]), default=0)

    def cell(row: Row, column: Row) -> Cell | None:
        met = board.battles(row, column)
        if not met:
            return None
        shade = round(STEPS * log(1 + met) / log(1 + most))
        return f"c{shade}", _short_number(met), f"{row.name} – {column.name}: {met}"

    caption = _("Counted battles of each pair; the stronger the tint, the more. Empty: they have not met.")
    label = _("Battles of %(n)s models with each other; the table below holds the same figures")
    return _matrix(board, "met", _("Who has met whom"), label, caption, cell)


def _short_number(number: int) -> str:
    """Four characters at most: 999, 12k, 3M."""
    for size, mark in ((10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}{mark}" if number < 10 * size else f"{number // size}{mark}"
    return str(number)


def _matrix(
    board: Board, key: str, title: str, label: str, caption: str, cell: Callable[[Row, Row], Cell | None]
) -> Plot | None:
    rows, left_out = axes.first(board.rows, MOST)
    if len(rows) < 2:
        return None
    cells = [[cell(row, column) if row is not column else None for column in rows] for row in rows]
    heads = format_html_join(
        "", '<text class="tick" x="{}" y="20">{}</text>', ((LEFT + CELL * (j + 0.5), j + 1) for j in range(len(rows)))
    )
    lines = format_html_join(
        "",
        '<text class="who" x="{}" y="{}">{}</text>{}',
        (
            (LEFT - 12, TOP + CELL * (i + 0.5) + 4, f"{axes.short(row.name)}  {i + 1}", _line(cells[i], i))
            for i, row in enumerate(rows)
        ),
    )
    width, height = LEFT + CELL * len(rows) + 2, TOP + CELL * len(rows) + 2
    svg = format_html(
        '<svg class="heat" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">{3}{4}</svg>',
        width,
        height,
        label % {"n": len(rows)},
        heads,
        lines,
    )
    table = [
        [row.name, *(found[2].rpartition(": ")[2] if found else None for found in cells[i])]
        for i, row in enumerate(rows)
    ]
    return Plot(key, title, svg, caption, [axes.model(), *(row.name for row in rows)], table, left_out)


def _line(cells: list[Cell | None], i: int) -> SafeString:
    return format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="4"><title>{}</title></rect>'
        '<text class="rate" x="{}" y="{}">{}</text>',
        (
            (kind, x + 1, y + 1, CELL - 2, CELL - 2, title, x + CELL / 2, y + CELL / 2 + 4, text)
            for j, found in enumerate(cells)
            if found is not None
            for kind, text, title in [found]
            for x, y in [(LEFT + CELL * j, TOP + CELL * i)]
        ),
    )
