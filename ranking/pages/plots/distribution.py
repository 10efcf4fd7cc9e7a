"""What the bootstrap gave each model: the spread of its rating over the replicates, from 21 stored quantiles."""

from itertools import pairwise

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ranking.method import CENTRE
from ranking.pages.plots import axes
from ranking.pages.plots.axes import Plot, Scale
from ranking.pages.published import Board, Row

LEFT, WIDTH, LINE, HALF = 190, 520, 30, 11
SHOWN = (1, 5, 10, 15, 19)  # of the table: 5, 25, 50, 75, 95 %


def plot(board: Board) -> Plot | None:
    """None for a board whose replicates were not kept."""
    rows, left_out = axes.first([row for row in board.rows if row.quantiles])
    if len(rows) < 2:
        return None
    ends = [end for row in rows if row.quantiles for end in (row.quantiles[0], row.quantiles[-1])]
    scale, bottom = Scale.around([CENTRE, *ends], WIDTH), LINE * len(rows) + 6
    marks = format_html_join("", "{}", ((_mark(row, scale, LINE * i + 18),) for i, row in enumerate(rows)))
    label = _("Spread of the ratings of %(n)s models over the resamples; the table holds the same figures")
    return Plot(
        key="distribution",
        title=_("What resampling the votes does to the ratings"),
        svg=axes.picture(
            "plot-all",
            LEFT + WIDTH + 10,
            bottom + 24,
            label % {"n": len(rows)},
            axes.upright(scale, LEFT, bottom, CENTRE),
            marks,
        ),
        caption=_(
            "Each shape is one model: wide where many resamples put it. The bar holds the middle half, the line is the median."
        ),
        columns=[axes.model(), "5 %", "25 %", _("median"), "75 %", "95 %"],
        lines=[[row.name, *(round(row.quantiles[k]) for k in SHOWN)] for row in rows if row.quantiles],
        left_out=left_out,
    )


def _mark(row: Row, scale: Scale, y: float) -> SafeString:
    quantiles = row.quantiles or []
    low, median, high = (LEFT + scale(quantiles[k]) for k in (5, 10, 15))
    return format_html(
        '<g><title>{}: {} ({}–{})</title><text class="who" x="{}" y="{}">{}</text><path class="violin" d="{}"/>'
        '<rect class="box" x="{}" y="{}" width="{}" height="6" rx="3"/><path class="median" d="M{} {}v12"/></g>',
        row.name,
        round(quantiles[10]),
        round(quantiles[1]),
        round(quantiles[19]),
        LEFT - 12,
        y + 4,
        axes.short(row.name),
        _outline(quantiles, scale, y),
        round(low, 1),
        y - 3,
        round(max(high - low, 1), 1),
        round(median, 1),
        y - 6,
    )


def _outline(quantiles: list[float], scale: Scale, y: float) -> str:
    """Between every second quantile lies a tenth of the replicates, so the density there is one over their distance."""
    steps = list(pairwise(quantiles[::2]))
    least = max(quantiles[-1] - quantiles[0], 1e-9) / 1000
    density = [1 / max(high - low, least) for low, high in steps]
    top = max(density)
    points = [
        (LEFT + scale((low + high) / 2), HALF * one / top) for (low, high), one in zip(steps, density, strict=True)
    ]
    ends = [(LEFT + scale(quantiles[0]), 0.0), *points, (LEFT + scale(quantiles[-1]), 0.0)]
    upper = [f"{x:.1f} {y - half:.1f}" for x, half in ends]
    lower = [f"{x:.1f} {y + half:.1f}" for x, half in reversed(ends[1:-1])]
    return "M" + "L".join(upper + lower) + "Z"
