"""Which releases somebody's conversations are in, for /me (`arena/own_data.py` asks by name)."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from datasets.models import ReleasedConversation, ReleaseState

OUT = (ReleaseState.PUBLISHED, ReleaseState.RECALLED)  # a recalled release has been downloaded, perhaps


def releases_of(conversation_ids: Iterable[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """By conversation: name, state, day and public id of each release that it has left with."""
    rows = ReleasedConversation.objects.filter(conversation__in=list(conversation_ids), release__state__in=OUT)
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.select_related("release").order_by("release__published_at"):
        release = row.release
        fact = {"name": release.name, "state": release.state, "published_at": release.published_at, "id": row.public_id}
        found[row.conversation_id].append(fact)
    return dict(found)
