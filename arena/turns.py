"""The worker's side of a turn: claim, renew, finish, fail. Every step is conditional on still holding the lease."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from arena import battles, clock, costs
from arena.models import Message, Reply, Side, Turn
from arena.models.battles import BattleState, FinishReason, ReplyState, TurnState, VoidReason
from arena.models.conversations import Role
from arena.moderation import enrichment, records
from arena.moderation.scan import Match
from arena.streams import replay


@dataclass(slots=True)
class SideBrief:
    """What a worker must know to write one side."""

    side: Side
    attempt: int
    seed: int
    model: str
    adapter: str | None
    sampling: dict[str, object]
    conversation_id: UUID
    contestant_id: UUID
    messages: list[dict[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class TurnBrief:
    """A claimed turn. `sides` holds the sides that are still to be written, `final` those that already are."""

    turn_id: UUID
    battle_id: UUID
    number: int
    visitor_id: UUID | None
    group: str
    post_reveal: bool
    sides: dict[Side, SideBrief]
    final: list[Side]
    stop: set[Side]


@dataclass(slots=True)
class Outcome:
    """How a side ended: `finish_reason` with text, or `error` without. `cut`: by which rule, when moderation ended it."""

    text: str = ""
    html: str = ""
    finish_reason: str = ""
    error: str = ""
    cut: Match | None = None
    attempt: int = 1
    deployment_id: UUID | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    started_at: datetime | None = None
    first_token_at: datetime | None = None


class LeaseLost(RuntimeError):
    """Another worker holds the turn now, or it was erased; whatever we have must be dropped."""


def _lease() -> datetime:
    return clock.now() + timedelta(seconds=settings.TURN_LEASE_S)


def claim(turn_id: UUID, owner: str) -> TurnBrief | None:
    """Take the turn if nobody holds it. None when another worker was first, or it has been claimed too often."""
    free = Q(state=TurnState.QUEUED) | Q(state=TurnState.RUNNING, lease_until__lt=clock.now())
    with transaction.atomic():
        taken = Turn.objects.filter(free, pk=turn_id, claims__lt=settings.TURN_CLAIMS).update(
            state=TurnState.RUNNING,
            lease_owner=owner,
            lease_until=_lease(),
            claims=F("claims") + 1,
            started_at=clock.now(),
        )
        if not taken:
            return None
        turn = Turn.objects.select_related("battle__revision_a", "battle__revision_b").get(pk=turn_id)
        if turn.battle.successor_id:  # a worker died after it had replaced the battle: nobody waits for these answers
            _fail_open_sides(turn, "replaced")
            return None
        # Another worker had begun (it died, or gave the turn back): a new attempt, with the same seed.
        turn.replies.filter(state=ReplyState.RUNNING).update(attempt=F("attempt") + 1)
        turn.replies.filter(state=ReplyState.WAITING).update(state=ReplyState.RUNNING, started_at=clock.now())
        return _brief(turn)


def _fail_open_sides(turn: Turn, error: str) -> None:
    turn.replies.exclude(state=ReplyState.DONE).update(state=ReplyState.FAILED, error=error, finished_at=clock.now())
    _close(turn)


def _brief(turn: Turn) -> TurnBrief:
    sides: dict[Side, SideBrief] = {}
    final: list[Side] = []
    for reply in turn.replies.all():
        if reply.state == ReplyState.RUNNING:
            sides[Side(reply.side)] = _side_brief(turn, reply)
        else:
            final.append(Side(reply.side))
    return TurnBrief(
        turn_id=turn.id,
        battle_id=turn.battle_id,
        number=turn.number,
        visitor_id=turn.visitor_id,
        group=turn.group,
        post_reveal=turn.post_reveal,
        sides=sides,
        final=final,
        stop={side for side in Side if getattr(turn, f"stop_{side}")},
    )


def _side_brief(turn: Turn, reply: Reply) -> SideBrief:
    battle, side = turn.battle, Side(reply.side)
    revision = battle.revision(side)
    conversation_id = battle.conversation_id(side)
    said = Message.objects.filter(conversation_id=conversation_id, position__lte=2 * (turn.number - 1))
    messages = [{"role": "system", "content": revision.system_prompt}] if revision.system_prompt else []
    messages += [{"role": role, "content": text} for role, text in said.values_list("role", "text")]
    sampling = {
        "temperature": revision.temperature,
        "top_p": revision.top_p,
        "top_k": revision.top_k,
        "max_tokens": revision.max_tokens,
        "stop": revision.stop,
    }
    return SideBrief(
        side=side,
        attempt=reply.attempt,
        seed=reply.seed,
        model=revision.model,
        adapter=revision.adapter_id,
        sampling=sampling,
        conversation_id=conversation_id,
        contestant_id=revision.contestant_id,
        messages=messages,
    )


@dataclass(slots=True)
class Renewal:
    """Which of a worker's turns it still holds, and which sides people have stopped."""

    held: set[UUID]
    stops: dict[UUID, set[Side]]


def renew(owner: str, turn_ids: list[UUID]) -> Renewal:
    """Extend all leases of a worker in one UPDATE."""
    mine = Turn.objects.filter(lease_owner=owner, state=TurnState.RUNNING, pk__in=turn_ids)
    mine.update(lease_until=_lease())
    rows = list(mine.values_list("pk", "stop_a", "stop_b"))
    stops = {pk: {side for side, hit in zip(Side, (a, b), strict=True) if hit} for pk, a, b in rows if a or b}
    return Renewal({pk for pk, _a, _b in rows}, stops)


def release(owner: str, turn_ids: list[UUID]) -> int:
    """Give turns back unfinished (a worker is shutting down); this claim does not count against them."""
    mine = Turn.objects.filter(lease_owner=owner, state=TurnState.RUNNING, pk__in=turn_ids)
    return mine.update(lease_until=clock.now() - timedelta(seconds=1), claims=F("claims") - 1)


def finish(turn_id: UUID, owner: str, outcomes: dict[Side, Outcome]) -> tuple[str, str | None]:
    """Final texts, counts and timings in one commit. Raises LeaseLost.

    Returns the battle's state, and where its prompt went on if the battle was replaced.
    """
    with transaction.atomic():
        turn = (
            Turn.objects.select_for_update(of=("self", "battle"))
            .select_related("battle")
            .filter(pk=turn_id, lease_owner=owner, state=TurnState.RUNNING)
            .first()
        )
        if turn is None:
            raise LeaseLost(str(turn_id))
        for side, outcome in outcomes.items():
            _finish_side(turn, side, outcome)
        _close(turn)
        costs.charge(turn, outcomes)
        enrichment.enqueue(turn.pk)
        return turn.battle.state, replay.next_url(turn.battle)


def _finish_side(turn: Turn, side: Side, outcome: Outcome) -> None:
    reply = turn.replies.get(side=side)
    reply.attempt, reply.finished_at = outcome.attempt, clock.now()
    reply.deployment_id, reply.tokens_in, reply.tokens_out = (
        outcome.deployment_id,
        outcome.tokens_in,
        outcome.tokens_out,
    )
    reply.started_at, reply.first_token_at = outcome.started_at, outcome.first_token_at
    if outcome.finish_reason:
        reply.state, reply.finish_reason = ReplyState.DONE, outcome.finish_reason
        reply.message = Message.objects.create(
            conversation_id=turn.battle.conversation_id(side),
            position=2 * (turn.number - 1) + 1,
            role=Role.ASSISTANT,
            text=outcome.text,
            html=outcome.html,
            post_reveal=turn.post_reveal,
        )
        if outcome.cut:
            records.flag(reply.message, outcome.cut.category, outcome.cut.rule)
    else:
        reply.state, reply.error = ReplyState.FAILED, outcome.error
    reply.save()


def _close(turn: Turn) -> None:
    turn.state, turn.lease_owner, turn.lease_until, turn.finished_at = TurnState.DONE, "", None, clock.now()
    turn.save(update_fields=["state", "lease_owner", "lease_until", "finished_at"])
    battle = turn.battle
    if battle.state != BattleState.STREAMING:
        return  # voted (a later turn), or void meanwhile
    if turn.replies.filter(finish_reason=FinishReason.BLOCKED).exists():
        battles.void(battle, VoidReason.MODERATED)
        battle.refresh_from_db(fields=["state"])
        return
    failed = turn.replies.exclude(state=ReplyState.DONE).exists()
    battle.state = BattleState.FAILED if failed else BattleState.READY
    battle.ready_at = None if failed else clock.now()
    battle.expires_at = battles.expiry()
    battle.save(update_fields=["state", "ready_at", "expires_at"])


def erased(turn_id: UUID) -> bool:
    """Whether the turn's texts were deleted by its person, so that nothing of it may be told any more."""
    return Turn.objects.filter(pk=turn_id, battle__conversation_a__erased_at__isnull=False).exists()


def give_up(turn_id: UUID) -> bool:
    """Fail a turn that workers died on too often, so that its browser need not wait for ever."""
    with transaction.atomic():
        turn = (
            Turn.objects.select_for_update(of=("self", "battle"))
            .select_related("battle")
            .exclude(state=TurnState.DONE)
            .filter(pk=turn_id, claims__gte=settings.TURN_CLAIMS, lease_until__lt=clock.now())
            .first()
        )
        if turn is None:
            return False
        _fail_open_sides(turn, "crashed")
        return True
