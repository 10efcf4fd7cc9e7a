"""The verbs of a battle: start, send, stop, retry, cast_vote, rematch, share, report.

These and `arena/turns.py` (the worker's side) are the only writers of battle state. Each verb is one transaction and
says no with `Refused`. States and side exits: streaming -> ready | failed; ready -> streaming (next turn) | voted | void;
failed -> streaming (retry) | void; voted is final, later turns are stored with `post_reveal` and never ranked.
"""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from arena import admission, clock, limits, pairing
from arena.errors import Refused
from arena.generation.control import forget_stream, tell_stop
from arena.generation.queue import enqueue
from arena.ids import uuid4
from arena.models import Battle, Consent, Conversation, Message, Reply, Report, Side, Turn, Visitor
from arena.models.battles import BattleState, FinishReason, ReplyState, TurnState, VoidReason
from arena.models.conversations import Role
from arena.moderation import gate
from arena.randomness import keyed_int, keyed_random

MAX_CHAIN = 3  # new pairs drawn for one prompt because a side failed before any text


def start(visitor: Visitor, prompt: str, key: UUID, consent: Consent | None, group: str) -> Turn:
    """A new battle with its first turn. A repeated `key` gives the same turn again."""
    if turn := _sent_before(visitor, key):
        return turn
    if consent is None:
        raise Refused(403, "consent", _("Please read and accept the terms before your first prompt."))
    try:
        admission.not_paused()
        prompt = admission.admit_prompt(visitor, prompt, group)
        with transaction.atomic():
            return _open_battle(visitor, prompt, key, consent, group)
    except (IntegrityError, Refused) as error:
        return _twin(visitor, key, error)


def _open_battle(
    visitor: Visitor,
    prompt: str,
    key: UUID,
    consent: Consent | None,
    group: str,
    exclude: Collection[UUID] = (),
) -> Turn:
    """Draw a pair and write everything a worker needs. Runs inside the caller's transaction."""
    battle_id = uuid4()
    draw = pairing.draw(keyed_random("pair", battle_id), exclude)
    battle = Battle.objects.create(
        id=battle_id,
        visitor=visitor,
        consent=consent,
        conversation_a=Conversation.objects.create(visitor=visitor, revision=draw.a),
        conversation_b=Conversation.objects.create(visitor=visitor, revision=draw.b),
        revision_a=draw.a,
        revision_b=draw.b,
        probability=draw.probability,
        sampler=draw.sampler,
        created_at=clock.now(),
    )
    return _open_turn(battle, 1, prompt, key, group)


def _open_turn(battle: Battle, number: int, prompt: str, key: UUID, group: str) -> Turn:
    """The prompt as a message in both conversations, a turn with its two seeded replies, and a task on commit."""
    said = [
        Message.objects.create(
            conversation_id=conversation_id,
            position=2 * (number - 1),
            role=Role.USER,
            text=prompt,
            post_reveal=battle.revealed,
        )
        for conversation_id in (battle.conversation_a_id, battle.conversation_b_id)
    ]
    turn = Turn.objects.create(
        battle=battle,
        visitor_id=battle.visitor_id,
        number=number,
        prompt=said[0],
        key=key,
        group=group,
        post_reveal=battle.revealed,
    )
    for side in Side:
        Reply.objects.create(turn=turn, side=side, seed=keyed_int("seed", turn.id, side))
    enqueue(turn.id)
    return turn


def _sent_before(visitor: Visitor, key: UUID) -> Turn | None:
    return Turn.objects.filter(visitor=visitor, key=key).select_related("battle").first()


def _twin(visitor: Visitor, key: UUID, error: Exception) -> Turn:
    """The turn that a concurrent send with the same key has just written, which is why this one failed. Raises Refused."""
    if turn := _sent_before(visitor, key):
        return turn
    if isinstance(error, Refused):
        raise error
    if not Visitor.objects.filter(pk=visitor.pk).exists():
        raise _deleted() from None
    raise Refused(409, "turn_open", _("The answers to your last message are still being written.")) from None


def _deleted() -> Refused:
    return Refused(410, "deleted", _("This battle no longer belongs to anyone. Start a new one."))


def _locked(battle: Battle) -> Battle:
    return Battle.objects.select_for_update().get(pk=battle.pk)


def send(battle: Battle, prompt: str, key: UUID, group: str) -> Turn:
    """The next turn: before the vote it belongs to the contest, after the reveal it is stored but never ranked."""
    visitor = battle.visitor
    if visitor is None:
        raise _deleted()
    if turn := _sent_before(visitor, key):
        return turn
    try:
        _may_continue(battle)
        prompt = admission.admit_prompt(visitor, prompt, group)
        with transaction.atomic():
            battle = _locked(battle)
            _may_continue(battle)
            number = battle.turns.count() + 1
            if number > settings.MAX_TURNS:
                raise Refused(
                    409, "too_many_turns", _("This battle has reached its last turn. Please vote or start anew.")
                )
            if not battle.revealed:
                battle.state, battle.ready_at, battle.expires_at = BattleState.STREAMING, None, None
                battle.save(update_fields=["state", "ready_at", "expires_at"])
            return _open_turn(battle, number, prompt, key, group)
    except (IntegrityError, Refused) as error:
        return _twin(visitor, key, error)


def _may_continue(battle: Battle) -> None:
    if battle.visitor_id is None:
        raise _deleted()
    if battle.state == BattleState.VOID:
        raise Refused(410, "void", _("This battle is over. Start a new one."))
    if battle.state == BattleState.FAILED:
        raise Refused(409, "failed", _("A model failed. Retry that side first, or start a new battle."))
    if battle.state == BattleState.STREAMING or battle.turns.exclude(state=TurnState.DONE).exists():
        raise Refused(409, "turn_open", _("The answers to your last message are still being written."))
    last = battle.turns.order_by("-number").first()
    if last and last.replies.filter(state=ReplyState.FAILED).exists():  # after the reveal: a side would miss an answer
        raise Refused(409, "failed", _("A model failed. Retry that side first, or start a new battle."))
    if last and last.replies.filter(finish_reason=FinishReason.BLOCKED).exists():  # blocked text never reaches a model
        raise Refused(409, "withheld", _("An answer was withheld, so this conversation ends here. Start a new one."))


def stop(battle: Battle, side: str | None) -> None:
    """Stop one side or both of the open turn. What has been written stays and can be voted on, unranked."""
    turn = battle.turns.exclude(state=TurnState.DONE).first()
    if turn is None:
        return  # it finished while the person reached for the button
    sides = [Side(side)] if side else list(Side)
    Turn.objects.filter(pk=turn.pk).exclude(state=TurnState.DONE).update(**{f"stop_{s}": True for s in sides})
    tell_stop(turn.id, sides)


def retry(battle: Battle, side: str, group: str) -> Turn:
    """Write one side of the last turn again: it failed, or its stream broke. The seed stays the same."""
    if battle.visitor:
        limits.charge(battle.visitor_id, group)
        admission.within_backlog(battle.visitor)
    with transaction.atomic():
        battle = _locked(battle)
        if battle.visitor_id is None:
            raise _deleted()
        turn = battle.turns.order_by("-number").first()
        reply = turn.replies.select_related("message").get(side=side) if turn else None
        broken = reply and (reply.state == ReplyState.FAILED or reply.finish_reason == FinishReason.EARLY)
        if turn is None or reply is None or turn.state != TurnState.DONE or not broken:
            raise Refused(409, "nothing_to_retry", _("This answer is complete; there is nothing to retry."))
        if battle.revealed and not turn.post_reveal:
            raise Refused(409, "voted", _("You have voted on these answers; they can no longer change."))
        if battle.state == BattleState.VOID:
            raise Refused(410, "void", _("This battle is over. Start a new one."))
        _reopen(battle, turn, reply, group)
    return turn


def _reopen(battle: Battle, turn: Turn, reply: Reply, group: str) -> None:
    broken_text, reply.message = reply.message, None
    reply.state, reply.finish_reason, reply.error = ReplyState.WAITING, "", ""
    reply.attempt += 1
    reply.save(update_fields=["message", "state", "finish_reason", "error", "attempt"])
    if broken_text:
        broken_text.delete()
    turn.state, turn.claims, turn.lease_owner, turn.lease_until = TurnState.QUEUED, 0, "", None
    turn.group, turn.finished_at = group, None
    setattr(turn, f"stop_{reply.side}", False)
    turn.save()
    if not battle.revealed:
        battle.state, battle.ready_at, battle.expires_at = BattleState.STREAMING, None, None
        battle.save(update_fields=["state", "ready_at", "expires_at"])
    transaction.on_commit(lambda: forget_stream(turn.id))  # else a reader would stop at the old end
    enqueue(turn.id)


def rematch(battle: Battle, key: UUID, consent: Consent | None, group: str) -> Turn:
    """The first prompt of this battle again, in a new battle with a pair of its own."""
    visitor = battle.visitor
    first = battle.turns.select_related("prompt").order_by("number").first()
    if visitor is None or first is None:
        raise _deleted()
    return start(visitor, first.prompt.text, key, consent, group)


def replace(battle_id: UUID, failed: Collection[UUID]) -> bool:
    """Void a battle whose side failed before any text, and give its prompt to a new pair.

    `failed` are contestants that just failed; they stay out of the new draw. False when the chain of replacements is at
    its end or nobody is left to draw: the person is then offered a retry.
    """
    battle = Battle.objects.select_related("visitor", "consent").get(pk=battle_id)
    if battle.state != BattleState.STREAMING:
        return battle.successor_id is not None  # a worker that died had replaced it, or it was taken out meanwhile
    depth, link = 1, battle
    while predecessor := Battle.objects.filter(successor=link).first():
        depth, link = depth + 1, predecessor
    first = battle.turns.select_related("prompt").get(number=1)
    if depth >= MAX_CHAIN or battle.visitor is None:
        return False
    key = UUID(int=keyed_int("replacement", first.key, depth, bits=128))
    try:
        with transaction.atomic():
            turn = _open_battle(battle.visitor, first.prompt.text, key, battle.consent, first.group, failed)
            if not void(battle, VoidReason.ERROR, successor=turn.battle):
                raise Refused(410, "void", _("This battle is over. Start a new one."))  # takes the new battle back
            return True
    except (Refused, IntegrityError):  # nobody to draw; or the visitor deleted everything meanwhile
        return False


def void(battle: Battle, reason: VoidReason, successor: Battle | None = None) -> bool:
    """Take a battle out of the contest. False when it was voted or void already."""
    fields: dict[str, object] = {"state": BattleState.VOID, "void_reason": reason, "expires_at": None}
    if successor:
        fields["successor"] = successor
    open_states = [BattleState.STREAMING, BattleState.FAILED, BattleState.READY]
    return bool(Battle.objects.filter(pk=battle.pk, state__in=open_states).update(**fields))


def expire() -> int:
    """Void battles that nobody voted on in time; returns how many."""
    late = Battle.objects.filter(
        state__in=[BattleState.READY, BattleState.FAILED], expires_at__lt=clock.now(), voted_at__isnull=True
    )
    return late.update(state=BattleState.VOID, void_reason=VoidReason.ABANDONED, expires_at=None)


def expiry() -> datetime:
    return clock.now() + timedelta(seconds=settings.BATTLE_TTL_S)


def share(battle: Battle) -> str:
    """The token of the battle's public page: 256 random bits, made at the first call, gone with `unshare`."""
    Battle.objects.filter(pk=battle.pk, visitor__isnull=False, voted_at__isnull=False, share_token__isnull=True).update(
        share_token=secrets.token_urlsafe(32)
    )
    token = Battle.objects.values_list("share_token", flat=True).get(pk=battle.pk)
    if token is None:
        raise Refused(409, "not_voted", _("Only a battle that you have voted on can be shared."))
    return token


def unshare(battle: Battle) -> None:
    Battle.objects.filter(pk=battle.pk).update(share_token=None)


def report(reply: Reply, visitor: Visitor, reason: str, text: str) -> Report:
    """Report an answer; a second report of the same answer by the same person replaces nothing and adds nothing."""
    words = gate.clean_prompt(text)[:1000]
    made, _created = Report.objects.get_or_create(
        reply=reply, visitor=visitor, defaults={"reason": reason, "text": words}
    )
    return made
