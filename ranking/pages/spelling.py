"""Numbers as the sentences of a board spell them."""

from datetime import datetime

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _


def percent(share: float) -> str:
    """Whole per cent, never 0 or 100 % for what is neither."""
    if 0 < share < 0.01:
        return _("less than 1 %%") % {}
    if 0.99 < share < 1:
        return _("more than 99 %%") % {}
    return f"{round(share * 100)} %"


def number(value: float, places: int = 0) -> str:
    return number_format(round(value, places), places)


def fine(share: float) -> str:
    """With two digits that count, for shares far below 1 %."""
    value = share * 100
    places = 0 if value >= 10 else 1 if value >= 1 else 2 if value >= 0.1 else 3
    return f"{number(value, places)} %"


def day(moment: str) -> str:
    return date_format(datetime.fromisoformat(moment), "DATE_FORMAT")


def p_value(p: float) -> str:
    return "< " + number_format(0.001, 3) if p < 0.001 else "= " + number(p, 3)
