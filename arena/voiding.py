"""Taking battles and votes out of the ranking for good (a flag, arena/flagging.py, can be taken back).

A vote is never changed or deleted: a VOID event says that it no longer counts.

The voter is told nothing, so that nobody can test what is noticed: the battle stays `voted`, its page keeps every byte.
`ranking` absorbs the event at its next fit, which is asked for at once.
"""

import logging

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from arena import audit, battles
from arena.audit import Actor
from arena.celery import app
from arena.errors import Refused
from arena.models import Battle, Visitor, Vote, VoteEvent
from arena.models.battles import BattleState, VoidReason
from arena.models.votes import EventKind

log = logging.getLogger(__name__)
REFIT, QUEUE = "ranking.tasks.refit", "rank"
# What a later event about a vote has in common with its cast.
COPIED = (
    "origin",
    "vote_id",
    "contestant_a_id",
    "contestant_b_id",
    "choice",
    "probability",
    "categories",
    "judge",
    "ranked",
)


def void_battle(battle: Battle, actor: Actor, reason: str) -> None:
    """Take one battle out: unvoted it becomes void (flagged), voted its vote counts no more.

    Refused 400 without a reason, 409 when it is out already.
    """
    reason = _reason(reason)
    with transaction.atomic():
        locked = Battle.objects.select_for_update().get(pk=battle.pk)
        if locked.state == BattleState.VOTED:
            done = bool(_void(Vote.objects.filter(battle=locked)))
        else:
            done = battles.void(locked, VoidReason.FLAGGED)
        if not done:
            raise Refused(409, "void", _("This battle is out of the ranking already."))
        audit.record(actor, "void", locked, {"state": locked.state, "counted": True}, {"counted": False}, reason)
        transaction.on_commit(ask_for_a_fit)


def void_votes_of(visitor: Visitor, actor: Actor, reason: str) -> int:
    """Take every vote of a visitor out; returns how many counted until now. Refused 400 without a reason."""
    reason = _reason(reason)
    with transaction.atomic():
        voided = _void(Vote.objects.filter(visitor=visitor))
        if voided:
            # A number only: the events name the votes, and the trail must not tie them to a visitor who is deleted later.
            audit.record(actor, "void votes", visitor, {"votes": len(voided)}, {"votes": 0}, reason)
            transaction.on_commit(ask_for_a_fit)
    return len(voided)


def ask_for_a_fit() -> bool:
    """Queue a fit of the boards. False when the broker is away: the next scheduled fit absorbs the events, too."""
    return queue(REFIT)


def queue(task: str) -> bool:
    """Queue a task of the boards. False when the broker is away."""
    try:
        app.send_task(task, queue=QUEUE, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("broker unreachable (%s); %s was not queued, the schedule will do it", error, task)
        return False
    return True


def _void(votes: QuerySet[Vote]) -> list[Vote]:
    """Append a VOID event for each of these votes that has none; returns those. Votes are locked in one order."""
    locked = list(votes.select_for_update(of=("self",)).order_by("pk"))
    events = VoteEvent.objects.filter(vote__in=[vote.pk for vote in locked])
    out = set(events.filter(kind=EventKind.VOID).values_list("vote_id", flat=True))
    casts = {event.vote_id: event for event in events.filter(kind=EventKind.CAST)}
    fresh = [vote for vote in locked if vote.pk not in out and vote.pk in casts]
    VoteEvent.objects.bulk_create((_event(casts[vote.pk]) for vote in fresh), batch_size=1000)
    return fresh


def _event(cast: VoteEvent) -> VoteEvent:
    return VoteEvent(kind=EventKind.VOID, **{name: getattr(cast, name) for name in COPIED})


def _reason(reason: str) -> str:
    if reason := reason.strip()[:1000]:
        return reason
    raise Refused(400, "reason", _("Say why: the reason is kept in the audit trail."))
