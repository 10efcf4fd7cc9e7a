"""Finds open turns that no living worker holds: sends them again, or fails them when workers died on them too often."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from arena import clock, turns
from arena.generation.queue import queued_messages, send
from arena.models import Turn
from arena.models.battles import TurnState

MAX_QUEUED_MESSAGES = 200  # above it the sweeper adds none: the workers have enough to look at


def unclaimed() -> QuerySet[Turn]:
    """Open turns that no living worker holds, oldest first."""
    moment = clock.now()
    waiting = Q(state=TurnState.QUEUED, created_at__lt=moment - timedelta(seconds=settings.SWEEP_AFTER_S))
    return Turn.objects.filter(waiting | Q(state=TurnState.RUNNING, lease_until__lt=moment)).order_by("created_at")


def sweep() -> int:
    """Send unclaimed turns again and fail those that workers died on too often; returns how many it touched."""
    touched = 0
    room = MAX_QUEUED_MESSAGES - queued_messages()
    for turn_id, claims in unclaimed().values_list("pk", "claims")[: max(room, 0)]:
        spent = claims >= settings.TURN_CLAIMS
        touched += turns.give_up(turn_id) if spent else send(turn_id)
    return touched


def oldest(limit: int) -> list[UUID]:
    """The ids of the turns that have waited longest for a worker."""
    waiting = Turn.objects.filter(state=TurnState.QUEUED).order_by("created_at")
    return list(waiting.values_list("pk", flat=True)[: max(limit, 0)])
