"""Plots as SVG, made on the server from numbers: no script, colours from the page's stylesheet, the same figures in a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ranking.method import CENTRE
from ranking.published import Board, Row

BAR_WIDTH = 400
NAME_CHARS = 24
HEAT_MODELS = 20  # bounds the page: 20 x 20 cells are about 60 kB
HEAT_STEPS = 10


@dataclass(frozen=True, slots=True)
class Scale:
    """Rating points -> a horizontal position between 0 and `width`."""

    low: float
    high: float
    width: float

    @classmethod
    def of(cls, rows: Sequence[Row], width: float) -> "Scale":
        """Wide enough for every interval and for 1000, with a little room at both ends."""
        low = min([CENTRE, *(row.lower for row in rows if row.lower is not None)])
        high = max([CENTRE, *(row.upper for row in rows if row.upper is not None)])
        room = max(high - low, 20.0) * 0.04
        return cls(low - room, high + room, width)

    def __call__(self, rating: float) -> float:
        return round((rating - self.low) / (self.high - self.low) * self.width, 1)

    def ticks(self) -> list[int]:
        """Four to nine round numbers inside."""
        span = self.high - self.low
        step = next(step for step in _steps() if span / step <= 9)
        return list(range(math.ceil(self.low / step) * step, math.floor(self.high) + 1, step))


def _steps() -> list[int]:
    return [digit * 10**power for power in range(1, 12) for digit in (1, 2, 5)]


def interval_bar(row: Row, scale: Scale) -> SafeString:
    """The bar of one table row; the dashed line is 1000."""
    if row.lower is None or row.upper is None or row.rating is None:
        return SafeString("")
    left, right = scale(row.lower), scale(row.upper)
    label = _("%(low)s to %(high)s") % {"low": round(row.lower), "high": round(row.upper)}
    return format_html(
        '<svg class="interval" viewBox="0 0 {} 28" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<line class="axis" x1="{}" x2="{}" y1="0" y2="28" stroke-dasharray="2 3"/>'
        '<rect class="bar" x="{}" y="10" width="{}" height="8" rx="4"/>'
        '<rect class="point" x="{}" y="5" width="3" height="18" rx="1.5"/></svg>',
        BAR_WIDTH,
        label,
        scale(CENTRE),
        scale(CENTRE),
        left,
        round(max(right - left, 2), 1),
        round(scale(row.rating) - 1.5, 1),
    )


def interval_plot(rows: Sequence[Row]) -> SafeString:
    """All ranked models under one axis; empty without any."""
    rows = [row for row in rows if row.ranked]
    if not rows:
        return SafeString("")
    scale, left, height = Scale.of(rows, 520), 190, 26
    bottom = height * len(rows) + 6
    axis = format_html_join(
        "",
        '<line class="{}" x1="{}" x2="{}" y1="0" y2="{}"/><text class="tick" x="{}" y="{}">{}</text>',
        (
            ("axis centre" if tick == CENTRE else "axis", at, at, bottom, at, bottom + 16, tick)
            for tick in scale.ticks()
            for at in [round(left + scale(tick), 1)]
        ),
    )
    marks = format_html_join("", "{}", ((_mark(row, scale, left, height * i + 16),) for i, row in enumerate(rows)))
    return format_html(
        '<svg class="plot-all" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>',
        left + 530,
        bottom + 24,
        _("Ratings with 95 %% intervals of %(n)s models; the table holds the same figures") % {"n": len(rows)},
        axis,
        marks,
    )


def _mark(row: Row, scale: Scale, left: float, y: float) -> SafeString:
    lower, upper, rating = row.lower or 0.0, row.upper or 0.0, row.rating or 0.0
    return format_html(
        '<g><title>{}: {} ({}–{})</title><text class="who" x="{}" y="{}">{}</text>'
        '<line class="whisker" x1="{}" x2="{}" y1="{}" y2="{}"/><circle class="point" cx="{}" cy="{}" r="4.5"/></g>',
        row.name,
        round(rating),
        round(lower),
        round(upper),
        left - 12,
        y + 4,
        short(row.name),
        round(left + scale(lower), 1),
        round(left + scale(upper), 1),
        y,
        y,
        round(left + scale(rating), 1),
        y,
    )


def heat_rows(board: Board) -> list[Row]:
    """The models of the heat map: the first ranked ones, at most HEAT_MODELS."""
    return list(board.ranked[:HEAT_MODELS])


def heat_map(board: Board) -> SafeString:
    """Win rate of row against column, half wins for ties; a number in each cell, so that colour is not the only sign."""
    rows, cell, left, top = heat_rows(board), 44, 230, 30
    if len(rows) < 2:
        return SafeString("")
    heads = format_html_join(
        "",
        '<text class="tick" x="{}" y="20">{}</text>',
        ((left + cell * (j + 0.5), j + 1) for j in range(len(rows))),
    )
    lines = format_html_join(
        "",
        '<text class="who" x="{}" y="{}">{}</text>{}',
        (
            (
                left - 12,
                top + cell * (i + 0.5) + 4,
                f"{short(row.name)}  {i + 1}",
                _heat_line(board, i, left, top, cell),
            )
            for i, row in enumerate(rows)
        ),
    )
    width, height = left + cell * len(rows) + 2, top + cell * len(rows) + 2
    return format_html(
        '<svg class="heat" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">{3}{4}</svg>',
        width,
        height,
        _("Win rates of %(n)s models against each other; the table below holds the same figures") % {"n": len(rows)},
        heads,
        lines,
    )


def _heat_line(board: Board, i: int, left: int, top: int, cell: int) -> SafeString:
    rows = heat_rows(board)
    cells = []
    for j, column in enumerate(rows):
        rate = board.win_rate(rows[i], column)
        if i == j or rate is None:
            continue
        x, y = left + cell * j, top + cell * i
        level = round(rate * HEAT_STEPS)
        title = f"{rows[i].name} – {column.name}: {percent(rate)} ({board.battles(rows[i], column)})"
        cells.append(
            (level, x + 1, y + 1, cell - 2, cell - 2, title, x + cell / 2, y + cell / 2 + 4, round(rate * 100))
        )
    return format_html_join(
        "",
        '<rect class="h{}" x="{}" y="{}" width="{}" height="{}" rx="4"><title>{}</title></rect>'
        '<text class="rate" x="{}" y="{}">{}</text>',
        cells,
    )


def short(name: str) -> str:
    return name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"


def percent(share: float) -> str:
    return f"{round(share * 100)} %"


def heat_table(board: Board) -> list[tuple[Row, list[tuple[float | None, int]]]]:
    """The heat map's figures: each row with (win rate, battles) against every column."""
    rows = heat_rows(board)
    return [(row, [(board.win_rate(row, column), board.battles(row, column)) for column in rows]) for row in rows]
