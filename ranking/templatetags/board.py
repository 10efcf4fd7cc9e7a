"""How figures are printed on the board's pages."""

import re
from typing import Any

from django import template
from django.utils.formats import number_format

from ranking.method import PER_LOGIT
from ranking.pages import words
from ranking.pages.plots import axes

register = template.Library()


def _rounded(value: float, places: int) -> str:
    """number_format alone cuts off what is too long."""
    return number_format(round(value, places), places)


@register.filter
def percent(share: float | None) -> str:
    """0.583 -> "58 %"; nothing for None."""
    return "" if share is None else axes.percent(share)


@register.filter
def percent_fine(share: float | None) -> str:
    """With two digits that count below 10 %: 0.0123 -> "1.2 %", 0.00123 -> "0.12 %"; a dash for None."""
    if share is None:
        return "–"
    value = 100 * share
    places = 0 if value >= 10 or not value else 1 if value >= 1 else 2 if value >= 0.1 else 3
    return f"{_rounded(value, places)} %"


@register.filter
def percent_to(least: float | None, most: float | None) -> str:
    """From the least to the greatest share: "1.2 % – 17 %", and one figure where both are printed alike."""
    ends = percent_fine(least), percent_fine(most)
    return ends[0] if ends[0] == ends[1] else " – ".join(ends)


@register.filter
def in_points(logits: float) -> str:
    """A difference in logits as one of ratings, in whole points with its sign: 0.161 -> "+28"."""
    value = round(logits * PER_LOGIT)
    return ("+" if value > 0 else "−" if value < 0 else "") + str(abs(value))


@register.filter
def signed(value: float) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + _rounded(abs(value), 1)


@register.filter
def points(rating: float | None) -> str:
    """A rating or a margin in whole points."""
    return "" if rating is None else str(round(rating))


@register.filter
def seconds(value: float) -> str:
    """With the precision that a wait deserves: 0.42, 3.1, 18."""
    return _rounded(value, 2 if value < 1 else 1 if value < 10 else 0)


@register.filter
def in_seconds(value: float) -> str:
    return f"{seconds(value)} s"


@register.filter
def money(value: float) -> str:
    """A price without zeros at its end, at most four places."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return number_format(text, len(text.partition(".")[2]))


@register.filter
def of(columns: Any, name: str) -> bool:
    """Whether the board has this column."""
    return name in columns


@register.filter
def named(stored: str) -> str:
    """The public name of a tie model or a part of style; one that this version does not know is shown as it is stored."""
    return str(words.NAMES.get(re.sub(r"\W+", "_", stored).casefold(), stored))
