"""The public list of conversations that people took back after they had been released, for whoever holds a copy.

Holders ask for it again and again, and computing it looks at every released conversation: a process keeps it for FRESH_S. That
is as late as a removal can be on it, without a word from the many places where somebody takes something back.
"""

import hashlib
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from django.db.models import Exists, F, OuterRef, Q

from arena.models import Consent
from datasets.models import ReleasedConversation

FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Listing:
    """/datasets/removals.txt as it was at some moment."""

    body: bytes
    etag: str
    read_at: float  # monotonic seconds


_lock = Lock()
_kept: Listing | None = None


def listing() -> Listing:
    """The list, one public id per line, at most FRESH_S old; one thread at a time computes it."""
    global _kept
    with _lock:
        now = monotonic()
        if _kept is None or now - _kept.read_at >= FRESH_S:
            body = "".join(f"{name}\n" for name in public_ids()).encode()
            _kept = Listing(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', now)
        return _kept


def forget() -> None:
    """Compute it for the next reader."""
    global _kept
    _kept = None


def public_ids() -> list[str]:
    """Ids of released conversations that were deleted, or whose person withdrew since, sorted. Nobody leaves the list again: a
    new consent counts for what is said under it."""
    gone = Q(conversation__erased_at__isnull=False) | Q(conversation__visitor__isnull=True)
    for side in ("conversation__battle_as_a", "conversation__battle_as_b"):
        said_no = Consent.objects.filter(
            visitor=OuterRef("conversation__visitor"),
            publish=False,
            created_at__gte=OuterRef(f"{side}__consent__created_at"),
        )
        gone |= Q(Exists(said_no)) | Q(**{f"{side}__isnull": False, f"{side}__consent__isnull": True})
    out = ReleasedConversation.objects.filter(gone, release__published_at__isnull=False)
    return list(out.order_by("public_id").values_list(F("public_id"), flat=True).distinct())
