"""Taking votes out of the counts until somebody takes it back: FLAG events by the watch on abuse, UNFLAG events by staff.

Nobody but staff sees a flag: the battle, its page and every answer to the voter stay as they are, to the byte. A vote that a
person has unflagged is never flagged again by a rule.
"""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from arena.models import VoteEvent
from arena.models.votes import EventKind
from arena.voiding import COPIED

BATCH = 1000


def flag(votes: Collection[UUID], reason: str) -> list[UUID]:
    """Flag those of these votes that count and that nobody has unflagged; returns them. Call inside a transaction."""
    spared = VoteEvent.objects.filter(vote=OuterRef("vote"), kind=EventKind.UNFLAG)
    return _append(_casts(votes, EventKind.FLAG).exclude(Exists(spared)), EventKind.FLAG, reason)


def unflag(votes: Collection[UUID], reason: str) -> list[UUID]:
    """Undo the flag of those that have one; returns them. Call inside a transaction."""
    return _append(_casts(votes, EventKind.FLAG, has=True), EventKind.UNFLAG, reason)


def _casts(votes: Collection[UUID], latest: str, has: bool = False) -> QuerySet[VoteEvent]:
    """The casts of votes whose latest flag or unflag is `latest` (has) or is not."""
    about = VoteEvent.objects.filter(vote=OuterRef("vote"))
    flags = about.filter(kind__in=(EventKind.FLAG, EventKind.UNFLAG)).order_by("-created_at", "-id")
    casts = VoteEvent.objects.filter(vote__in=list(votes), kind=EventKind.CAST).annotate(
        latest=Subquery(flags.values("kind")[:1])
    )
    casts = casts.exclude(Exists(about.filter(kind=EventKind.VOID)))
    return casts.filter(latest=latest) if has else casts.exclude(latest__isnull=False, latest=latest)


def _append(casts: QuerySet[VoteEvent], kind: EventKind, reason: str) -> list[UUID]:
    found = list(casts.order_by("vote"))
    VoteEvent.objects.bulk_create(
        (VoteEvent(kind=kind, reason=reason[:60], **{name: getattr(cast, name) for name in COPIED}) for cast in found),
        batch_size=BATCH,
    )
    return [cast.vote_id for cast in found if cast.vote_id]
