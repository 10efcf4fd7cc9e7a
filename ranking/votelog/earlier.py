"""Votes that were absorbed before there was a log: sealed by the first absorb of a version that has one, before anything else.

Batch by batch, each a transaction of its own under the counts' lock with settings.ABSORB_BATCH events, first the votes, then what
was excluded of them. How far it has come is a row (`SealingState`), written in the same transaction, so that a crash leaves a
sound beginning of the chain and the next run goes on behind it. Nothing is absorbed or published before all are in: `absorb()`
seals them first, and publishing begins with `absorb()`.
"""

import logging
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from arena import clock
from arena.models import VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from ranking.votelog import sealing
from ranking.votelog.exclusions import KINDS
from ranking.votelog.models import LogEntry, SealingState, WithheldEntry

log = logging.getLogger(__name__)
FIRST = UUID(int=0)


def waiting() -> bool:
    """Whether votes of before the log are not sealed. Two look-ups of one row once there is a log."""
    if SealingState.objects.exists():
        return True
    return not LogEntry.objects.exists() and not WithheldEntry.objects.exists() and _absorbed().exists()


def seal_batch() -> bool:
    """Seal the next batch, in a transaction under the counts' lock; False when nothing is left."""
    if not waiting():
        return False
    state = SealingState.objects.first() or SealingState(last=FIRST)
    kinds = KINDS if state.exclusions else [EventKind.CAST]
    batch = list(_absorbed().filter(kind__in=kinds, pk__gt=state.last).order_by("pk")[: settings.ABSORB_BATCH])
    if batch:
        sealing.seal_earlier(batch, _recategorised(batch), clock.now())
        state.last, state.sealed = batch[-1].pk, state.sealed + len(batch)
        log.info("sealed %d events of before the vote log", state.sealed)
    elif state.exclusions:
        SealingState.objects.all().delete()
        return False
    else:
        state.last, state.exclusions = FIRST, True
    state.save()
    return True


def _absorbed() -> QuerySet[VoteEvent]:
    return VoteEvent.objects.filter(origin=Origin.LIVE, absorbed=True)


def _recategorised(batch: list[VoteEvent]) -> list[VoteEvent]:
    votes = {event.vote_id for event in batch if event.vote_id}
    return list(_absorbed().filter(kind=EventKind.RECATEGORISE, vote__in=votes))
