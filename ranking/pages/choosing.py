"""The chooser of boards: whose votes, which category, with style control or without; all in the address, as for the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from arena.models.battles import Origin
from ranking import categories
from ranking.fits.boards import OVERALL, Asked, Key


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    selected: bool


@dataclass(frozen=True, slots=True)
class Chooser:
    """Options of each part that has more than one; `style`: this board exists with and without style control (None: it does not).

    `query` leads to the shown board again: "" for the one that the site opens with.
    """

    key: Key
    origins: list[Option]
    categories: list[Option]
    style: bool | None
    query: str


def chooser(key: Key, boards: Sequence[Key], asked: Asked) -> Chooser:
    origins = sorted({one.origin for one in boards}, key=_order)
    mine = [one for one in boards if one.origin == key.origin]
    names = categories.ordered({one.category for one in mine})
    other = Key(key.origin, key.category, not key.controlled)
    return Chooser(
        key=key,
        origins=[Option(one, origin(one), one == key.origin) for one in origins] if len(origins) > 1 else [],
        categories=[Option(one, category(one), one == key.category) for one in names] if len(names) > 1 else [],
        style=key.controlled if other in boards else None,
        query=urlencode(parts(asked)),
    )


def parts(asked: Asked) -> dict[str, str]:
    """What of the address says which board, without the usual values."""
    told = {"origin": asked.origin, "category": asked.category, "style": "" if asked == Asked() else asked.style}
    return {name: value for name, value in told.items() if value and (name, value) != ("style", "off")}


def _order(origin: str) -> tuple[int, str]:
    first = {Origin.LIVE.value: 0, Origin.DEMO.value: 1}
    return first.get(origin, 2), origin


def origin(name: str) -> str:
    known = {Origin.LIVE.value: _("Votes of this site"), Origin.DEMO.value: _("Synthetic demo")}
    return known.get(name) or _("Imported: %(name)s") % {"name": name.removeprefix("import:")}


def category(name: str) -> str:
    """A category of a newer or older version is named as it is stored."""
    try:
        return _("All prompts") if name == OVERALL else str(categories.title(name))
    except KeyError:
        return name
