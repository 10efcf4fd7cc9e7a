"""How figures are printed on the board's pages."""

from django import template

from ranking import plots

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """0.583 -> "58 %"; nothing for None."""
    return "" if share is None else plots.percent(share)


@register.filter
def points(rating: float | None) -> str:
    """A rating or a margin in whole points."""
    return "" if rating is None else str(round(rating))
