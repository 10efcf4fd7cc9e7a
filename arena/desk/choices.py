"""What the forms of a list offer and send: filters that find something, and the rows that were ticked."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from arena.desk.listing import Row
from arena.desk.queues import Filters
from arena.errors import Refused
from arena.moderation import policy
from arena.moderation.policy import PolicyError


def offered(rows: Iterable[Row], filters: Filters) -> dict[str, Any]:
    """Languages and categories to filter by: those of the rows at hand, of the rule file, and what is chosen already."""
    rows = list(rows)
    try:
        known = set(policy.load().categories)
    except (PolicyError, OSError):
        known = set()
    languages = {language for row in rows for language in row.languages} | {filters.language}
    categories = {category for row in rows for category in row.categories} | known | {filters.category}
    return {
        "languages": sorted(languages - {""}),
        "categories": sorted(categories - {""}),
        "bulk_most": settings.DESK_BULK,
    }


def read(chosen: list[str]) -> dict[UUID, str]:
    """Ticked rows as "<battle>:<mark>". Refused 400 for what no row of ours says."""
    seen: dict[UUID, str] = {}
    for value in chosen:
        pk, colon, mark = value.partition(":")
        try:
            seen[UUID(pk)] = mark
        except ValueError:
            colon = ""
        if not colon:
            raise Refused(400, "chosen", _("This form is incomplete. Reload the page and send it again."))
    return seen
