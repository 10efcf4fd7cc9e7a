"""Small things that templates need: icons, relative times, the current place in the navigation."""

from datetime import datetime
from typing import Any

from django import template
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import npgettext_lazy

from arena import clock

register = template.Library()

# Paths of a 24 x 24 grid, drawn with the stroke of `svg.icon`.
ICONS = {
    "menu": "M4 7h16M4 12h16M4 17h16",
    "copy": "M9 9h10v11H9zM5 15V4h10",
    "check": "m5 12.500 4.500 4.500L19 7.500",
    "expand": "M14 5h5v5M19 5l-6 6M10 19H5v-5M5 19l6-6",
    "flag": "M6 21V4M6 5h11l-2.500 3.500L17 12H6",
    "stop": "M7 7h10v10H7z",
    "retry": "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
    "share": "M12 15V4M8 8l4-4 4 4M5 13v7h14v-7",
    "down": "M12 5v14M6 13l6 6 6-6",
    "send": "M12 19V5M6 11l6-6 6 6",
}

# What stands before "ago": other languages bend these words there (2 Tage, vor 2 Tagen).
PAST: dict[str, Any] = {
    "year": npgettext_lazy("… ago", "%(num)d year", "%(num)d years", "num"),
    "month": npgettext_lazy("… ago", "%(num)d month", "%(num)d months", "num"),
    "week": npgettext_lazy("… ago", "%(num)d week", "%(num)d weeks", "num"),
    "day": npgettext_lazy("… ago", "%(num)d day", "%(num)d days", "num"),
    "hour": npgettext_lazy("… ago", "%(num)d hour", "%(num)d hours", "num"),
    "minute": npgettext_lazy("… ago", "%(num)d minute", "%(num)d minutes", "num"),
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """An inline icon, hidden from assistive technology: the control around it carries the name."""
    return format_html(
        '<svg class="icon i-{}" viewBox="0 0 24 24" aria-hidden="true"><path d="{}"/></svg>', name, ICONS[name]
    )


@register.simple_tag(takes_context=True)
def here(context: template.Context, *prefixes: str) -> SafeString:
    """`aria-current` for the navigation entry whose part of the site is shown; "/" stands for the start page alone."""
    request: HttpRequest | None = context.get("request")
    path = request.path if request else ""
    inside = any(path == prefix or (prefix != "/" and path.startswith(prefix)) for prefix in prefixes)
    return mark_safe('aria-current="page"') if inside else mark_safe("")


@register.simple_tag
def ago(moment: datetime | None) -> str:
    """A relative time with the exact value on hover, e.g. "12 minutes ago"; "" for None."""
    if moment is None:
        return ""
    seconds = (clock.now() - moment).total_seconds()
    if seconds < 60:
        words = _("just now")
    else:
        words = _("%(time)s ago") % {"time": timesince(moment, clock.now(), time_strings=PAST, depth=1)}
    exact = date_format(timezone.localtime(moment), "Y-m-d H:i:s T")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, words)
