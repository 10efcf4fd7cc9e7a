"""Intervals: each model's rating with its 95 % interval, and the interval that holds for all models at once."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ranking.method import CENTRE
from ranking.pages.plots import axes
from ranking.pages.plots.axes import Plot, Scale
from ranking.pages.published import Board, Row

BAR_WIDTH = 400
LEFT, WIDTH, LINE = 190, 520, 26


def scale_of(rows: Sequence[Row], width: float) -> Scale:
    """Wide enough for every interval and for 1000."""
    ends = [end for row in rows for end in (row.lower, row.upper, row.joint_lower, row.joint_upper)]
    return Scale.around([CENTRE, *ends], width)


def bar(row: Row, scale: Scale) -> SafeString:
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


def plot(board: Board) -> Plot | None:
    rows, left_out = axes.first(board.rows)
    if len(rows) < 2:
        return None
    scale, bottom = scale_of(rows, WIDTH), LINE * len(rows) + 6
    marks = format_html_join("", "{}", ((_mark(row, scale, LINE * i + 16),) for i, row in enumerate(rows)))
    label = _("Ratings with 95 %% intervals of %(n)s models; the table holds the same figures") % {"n": len(rows)}
    joint = any(row.joint_lower is not None for row in rows)
    caption = _("The dot is the rating, the thick line its 95 % interval.")
    if joint:
        caption += " " + _("The thin line is the interval that holds for all models at once.")
    return Plot(
        key="intervals",
        title=_("Intervals"),
        svg=axes.picture(
            "plot-all", LEFT + WIDTH + 10, bottom + 24, label, axes.upright(scale, LEFT, bottom, CENTRE), marks
        ),
        caption=caption,
        columns=[axes.model(), _("Rating"), _("from"), _("to"), *([_("all at once: from"), _("to")] if joint else [])],
        lines=[_line(row, joint) for row in rows],
        left_out=left_out,
    )


def _line(row: Row, joint: bool) -> list[object]:
    ends = [row.rating, row.lower, row.upper, *((row.joint_lower, row.joint_upper) if joint else ())]
    return [row.name, *(None if end is None else round(end) for end in ends)]


def _mark(row: Row, scale: Scale, y: float) -> SafeString:
    lower, upper, rating = row.lower or 0.0, row.upper or 0.0, row.rating or 0.0
    return format_html(
        '<g><title>{}: {} ({}–{})</title><text class="who" x="{}" y="{}">{}</text>{}'
        '<line class="whisker" x1="{}" x2="{}" y1="{}" y2="{}"/><circle class="point" cx="{}" cy="{}" r="4.5"/></g>',
        row.name,
        round(rating),
        round(lower),
        round(upper),
        LEFT - 12,
        y + 4,
        axes.short(row.name),
        _joint(row, scale, y),
        round(LEFT + scale(lower), 1),
        round(LEFT + scale(upper), 1),
        y,
        y,
        round(LEFT + scale(rating), 1),
        y,
    )


def _joint(row: Row, scale: Scale, y: float) -> SafeString:
    if row.joint_lower is None or row.joint_upper is None:
        return SafeString("")
    ends = [round(LEFT + scale(end), 1) for end in (row.joint_lower, row.joint_upper)]
    return format_html('<path class="joint" d="M{0} {2}H{1}M{0} {3}v8M{1} {3}v8"/>', ends[0], ends[1], y, y - 4)
