"""The public list of conversations that people took back after they had been released, for whoever holds a copy."""

from django.db.models import Exists, F, OuterRef, Q

from arena.models import Consent
from datasets.models import ReleasedConversation


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
