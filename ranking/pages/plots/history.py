"""Ratings over the publications of a board: a line per model, broken where it had no rating, dashed for retired models."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ranking.fits.history import Point
from ranking.method import CENTRE
from ranking.pages.plots import axes
from ranking.pages.plots.axes import Plot, Scale
from ranking.pages.published import Row

LEFT, WIDTH, HEIGHT, NAMES, MOST = 60, 560, 380, 190, 12
LABEL_GAP = 15
TABLE_LINES = 20

Series = Mapping[str, Sequence[Point]]


def plot(rows: Sequence[Row], series: Series, key: str = "history") -> Plot | None:
    """`series`: contestant id -> its points, oldest first. None before two publications."""
    ranked = [row for row in rows if any(point.rating is not None for point in series.get(row.key, ()))]
    shown = ranked[:MOST]
    times = sorted({point.published for row in shown for point in series[row.key]})
    if len(times) < 2:
        return None
    ratings = [point.rating for row in shown for point in series[row.key]]
    height = Scale.around([CENTRE, *ratings], HEIGHT)
    lines = format_html_join(
        "", "{}", ((_line(row, series[row.key], times, height, n),) for n, row in enumerate(shown))
    )
    label = _("Ratings of %(n)s models over time; the table holds the same figures") % {"n": len(shown)}
    return Plot(
        key=key,
        title=_("Ratings over time"),
        svg=axes.picture(
            "plot-all history",
            LEFT + WIDTH + NAMES,
            HEIGHT + 30,
            label,
            axes.level(height, LEFT, LEFT + WIDTH, HEIGHT, CENTRE),
            _days(times),
            lines,
            _names(shown, series, height),
        ),
        caption=_("One point per publication. A line breaks where the model had no rating; retired models are dashed."),
        columns=[_("Published"), *(row.name for row in shown)],
        lines=[_table_line(time, shown, series) for time in _thinned(times)],
        left_out=len(ranked) - len(shown),
    )


def _x(time: datetime, times: Sequence[datetime]) -> float:
    return round(LEFT + WIDTH * (time - times[0]).total_seconds() / (times[-1] - times[0]).total_seconds(), 1)


def segments(points: Sequence[Point], times: Sequence[datetime]) -> list[list[Point]]:
    """Runs of publications in which the model had a rating: one that left it out, or did not rate it, breaks the line."""
    by_time = {point.published: point for point in points}
    runs: list[list[Point]] = [[]]
    for time in times:
        point = by_time.get(time)
        if point is None or point.rating is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _line(row: Row, points: Sequence[Point], times: Sequence[datetime], height: Scale, n: int) -> SafeString:
    kind = f"series s{n % 6}" + (" retired" if row.retired else "")
    paths, dots = [], []
    for run in segments(points, times):
        places = [(_x(point.published, times), round(HEIGHT - height(point.rating or 0.0), 1)) for point in run]
        if len(places) == 1:
            dots.append((f"s{n % 6} alone", *places[0]))
        else:
            paths.append((kind, "M" + "L".join(f"{x} {y}" for x, y in places)))
    return format_html(
        "<g><title>{}</title>{}{}</g>",
        row.name,
        format_html_join("", '<path class="{}" d="{}"/>', paths),
        format_html_join("", '<circle class="{}" cx="{}" cy="{}" r="3.5"/>', dots),
    )


def _names(shown: Sequence[Row], series: Series, height: Scale) -> SafeString:
    """At the right, in the order of the last ratings, moved apart so that none covers another; a hair leads to its line."""
    last = {row.key: next(p.rating for p in reversed(series[row.key]) if p.rating is not None) for row in shown}
    wanted = sorted((round(HEIGHT - height(last[row.key]), 1), n, row) for n, row in enumerate(shown))
    placed, before = [], 0.0
    for y, n, row in wanted:
        before = max(y, before + LABEL_GAP)
        placed.append((y, before, n, row))
    over = max(0.0, before - HEIGHT)
    right = LEFT + WIDTH
    return format_html_join(
        "",
        '<path class="hair" d="M{} {}L{} {}"/><text class="plot-name" x="{}" y="{}">{}</text>',
        (
            (right + 2, y, right + 14, round(at - over, 1), right + 18, round(at - over + 4, 1), axes.short(row.name))
            for y, at, _n, row in placed
        ),
    )


def _days(times: Sequence[datetime]) -> SafeString:
    """The first and the last publication, and those nearest to the quarters between."""
    wanted = [times[0] + (times[-1] - times[0]) * k / 4 for k in range(5)]
    days = sorted({min(times, key=lambda time, want=want: abs(time - want)) for want in wanted})  # type: ignore[misc]
    shown = [days[0]]
    for day in days[1:]:
        if _x(day, times) - _x(shown[-1], times) > 90:
            shown.append(day)
    return format_html_join(
        "",
        '<text class="tick" x="{}" y="{}">{}</text>',
        ((_x(day, times), HEIGHT + 20, date_format(day, "SHORT_DATE_FORMAT")) for day in shown),
    )


def _thinned(times: Sequence[datetime]) -> list[datetime]:
    """At most TABLE_LINES publications for the table, the newest first, evenly spread."""
    step = max(1, -(-len(times) // TABLE_LINES))
    return list(reversed(times))[::step]


def _table_line(time: datetime, shown: Sequence[Row], series: Series) -> list[object]:
    ratings = []
    for row in shown:
        found = next((point for point in series[row.key] if point.published == time), None)
        ratings.append(None if found is None or found.rating is None else round(found.rating))
    return [date_format(time, "SHORT_DATETIME_FORMAT"), *ratings]
