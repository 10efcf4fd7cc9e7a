"""Score against price: a logarithmic price axis, and the models that no other beats in both (the Pareto front)."""

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ranking.method import CENTRE
from ranking.pages.plots import axes
from ranking.pages.plots.axes import LogScale, Plot, Scale
from ranking.pages.published import Board, Row

LEFT, WIDTH, HEIGHT, MOST = 60, 640, 380, 100


def blended(row: Row) -> float | None:
    """Price of a million tokens, three of four of them read and one written; None where a price is not known."""
    return None if row.price_in is None or row.price_out is None else (3 * row.price_in + row.price_out) / 4


def front(rows: list[Row]) -> list[Row]:
    """Cheapest first: each is better than every model that costs no more."""
    best, kept = float("-inf"), list[Row]()
    for row in sorted(rows, key=lambda one: (blended(one) or 0.0, -(one.rating or 0.0))):
        if (row.rating or 0.0) > best:
            best = row.rating or 0.0
            kept.append(row)
    return kept


def plot(board: Board) -> Plot | None:
    """None with fewer than two ranked models whose price is above zero: free ones have no place on the axis."""
    priced = [row for row in board.ranked if blended(row) is not None]
    rows, left_out = axes.first([row for row in priced if blended(row)], MOST)
    if len(rows) < 2:
        return None
    best = front(priced)
    scale = LogScale.around([blended(row) or 0.0 for row in rows], WIDTH)
    height = Scale.around([CENTRE, *(row.rating for row in rows)], HEIGHT)
    dots = format_html_join("", "{}", ((_dot(row, scale, height, row in best),) for row in rows))
    label = _("Rating against price of %(n)s models; the table holds the same figures") % {"n": len(rows)}
    return Plot(
        key="price",
        title=_("Rating against price"),
        svg=axes.picture(
            "plot-all price",
            LEFT + WIDTH + 20,
            HEIGHT + 40,
            label,
            axes.upright(scale, LEFT, HEIGHT),
            axes.level(height, LEFT, LEFT + WIDTH, HEIGHT, CENTRE),
            _steps([row for row in best if blended(row)], scale, height),
            dots,
        ),
        caption=_(
            "Price per million tokens in USD, three of four tokens read and one written; a step along the axis is a ratio. "
            "Squares on the line: no other model is both cheaper and better."
        ),
        columns=[axes.model(), _("Price in"), _("Price out"), _("Price, mixed"), _("Rating"), _("On the front")],
        lines=[_line(row, row in best) for row in priced[:MOST]],
        left_out=left_out,
    )


def _line(row: Row, best: bool) -> list[object]:
    prices = [row.price_in, row.price_out, round(blended(row) or 0.0, 4)]
    return [row.name, *prices, round(row.rating or 0.0), _("yes") if best else _("no")]


def _steps(best: list[Row], scale: LogScale, height: Scale) -> SafeString:
    points = [(LEFT + scale(blended(row) or 1.0), HEIGHT - height(row.rating or 0.0)) for row in best]
    if not points:
        return SafeString("")
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in points[1:])
    return format_html('<path class="front" d="{}"/>', path)


def _dot(row: Row, scale: LogScale, height: Scale, best: bool) -> SafeString:
    x, y = round(LEFT + scale(blended(row) or 1.0), 1), round(HEIGHT - height(row.rating or 0.0), 1)
    mark = (
        '<rect class="point" x="{}" y="{}" width="10" height="10"/>'
        if best
        else '<circle class="dot" cx="{}" cy="{}" r="5"/>'
    )
    shape = format_html(mark, round(x - 5, 1) if best else x, round(y - 5, 1) if best else y)
    turned = x > LEFT + WIDTH * 0.75
    return format_html(
        '<g><title>{}: {}, {}</title>{}<text class="{}" x="{}" y="{}">{}</text></g>',
        row.name,
        round(row.rating or 0.0),
        axes.number(round(blended(row) or 0.0, 4)),
        shape,
        "who" if turned else "plot-name",
        round(x - 9 if turned else x + 9, 1),
        y + 4,
        axes.short(row.name),
    )
