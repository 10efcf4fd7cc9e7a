"""A finished turn told from PostgreSQL: used when its stream has expired or was lost with Valkey."""

from uuid import UUID

from django.urls import reverse

from arena.models import Battle, Reply, Turn
from arena.models.battles import BattleState, FinishReason, ReplyState, TurnState
from arena.streams import events

SIDE_STATES = {
    FinishReason.STOP: "done",
    FinishReason.LENGTH: "done",
    FinishReason.STOPPED: "stopped",
    FinishReason.EARLY: "early",
    FinishReason.BLOCKED: "blocked",
}


def side_state(reply: Reply) -> str:
    """How a side ended, in the words of the stream."""
    return SIDE_STATES[FinishReason(reply.finish_reason)] if reply.state == ReplyState.DONE else "failed"


def finished(turn_id: UUID) -> list[events.Event] | None:
    """Every event a browser needs to show the turn's end, or None while it is still open. A deleted turn has only an end."""
    turn = Turn.objects.select_related("battle").filter(pk=turn_id).first()
    if turn is None:
        return [events.done(BattleState.VOID)]
    if turn.state != TurnState.DONE:
        return None
    told: list[events.Event] = []
    for reply in turn.replies.select_related("message"):
        told.append(events.reset(reply.side, reply.attempt))
        if reply.message:
            frame = {"n": reply.attempt, "blocks": [reply.message.html], "tail": ""}
            told.append((events.FRAME, {reply.side: frame}))
        told.append(events.side_done(reply.side, reply.attempt, side_state(reply)))
    return [*told, events.done(turn.battle.state, next_url(turn.battle))]


def next_url(battle: Battle) -> str | None:
    """Where the same prompt went on when this battle was replaced."""
    return reverse("battle", args=[battle.successor_id]) if battle.successor_id else None


def open_among(turn_ids: list[UUID]) -> set[UUID]:
    """Those of the turns that are still to be written, or being written."""
    return set(Turn.objects.filter(pk__in=turn_ids).exclude(state=TurnState.DONE).values_list("pk", flat=True))
