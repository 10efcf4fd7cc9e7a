"""Four real tasks for a person who does not know what to ask."""

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Example(NamedTuple):
    slug: str
    kind: Promise
    title: Promise
    prompt: Promise


EXAMPLES = (
    Example(
        "write",
        _("Write"),
        _("Turn these notes into a polite e-mail that says no"),
        _(
            "Turn these notes into a polite e-mail that says no:\n"
            "- invitation to speak at the spring conference, 14 May\n"
            "- thank them, the topic is close to my work\n"
            "- I am travelling that week, cannot move it\n"
            "- suggest my colleague Ada, and that they ask me again next year"
        ),
    ),
    Example(
        "code",
        _("Code"),
        _("Why does my SQL query return duplicate rows?"),
        _(
            "Why does my SQL query return duplicate rows when I join orders with payments?\n\n"
            "SELECT o.id, o.total, p.paid_at\nFROM orders o\nJOIN payments p ON p.order_id = o.id;"
        ),
    ),
    Example(
        "explain",
        _("Explain"),
        _("How do vaccines train the immune system?"),
        _("Explain to a curious twelve-year-old how a vaccine trains the immune system, with one comparison."),
    ),
    Example(
        "decide",
        _("Decide"),
        _("Heat pump or gas boiler for a house from 1975?"),
        _(
            "Our house was built in 1975, has 140 m2, radiators and no insulation. The gas boiler is at its end. "
            "Heat pump or a new gas boiler? Name the three questions that decide it."
        ),
    ),
)


def prompt_of(slug: str | None) -> str:
    """The prompt behind an example's link; "" for anything else."""
    return next((str(example.prompt) for example in EXAMPLES if example.slug == slug), "")
