"""Contestants of an import: the file's names on the board, addresses that nobody else has."""

from collections.abc import Sequence
from uuid import UUID

from django.utils.text import slugify

from arena.models import Contestant

NAME_MOST, SLUG_MOST = 80, 80


def add(origin: str, names: Sequence[str]) -> dict[str, UUID]:
    """Make a contestant for each name, which this origin does not have yet; returns their ids by the file's name.

    The address is `<import>-<name>`, shortened, and numbered where that is taken. A name that is too long for the board is cut,
    and numbered where two would look the same.
    """
    taken = set(Contestant.objects.filter(slug__startswith=_stem(origin)).values_list("slug", flat=True))
    shown = set(Contestant.objects.filter(origin=origin).values_list("name", flat=True))
    made = []
    for name in names:
        title = _free(name, shown, NAME_MOST, " ")
        slug = _free(f"{_stem(origin)}{slugify(name) or 'model'}", taken, SLUG_MOST, "-")
        shown.add(title)
        taken.add(slug)
        made.append(Contestant(name=title, slug=slug, origin=origin, imported=True, sampling_weight=0.0))
    Contestant.objects.bulk_create(made)
    return {name: one.pk for name, one in zip(names, made, strict=True)}


def _stem(origin: str) -> str:
    return f"{origin.partition(':')[2]}-"


def _free(wanted: str, taken: set[str], most: int, mark: str) -> str:
    """`wanted` within `most` characters; with the lowest number from 2 behind it while it is taken."""
    found, number = wanted[:most], 1
    while found in taken:
        number += 1
        tail = f"{mark}{number}"
        found = f"{wanted[: most - len(tail)]}{tail}"
    return found
