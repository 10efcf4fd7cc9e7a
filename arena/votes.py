"""Casting the one vote of a battle. Model identity first leaves the server in the response to this."""

from collections.abc import Collection
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from arena import clock, transcript
from arena.errors import Refused
from arena.judges import judge_of
from arena.models import Battle, Choice, Turn, Visitor, Vote, VoteEvent
from arena.models.battles import BattleState, FinishReason, TurnState
from arena.models.votes import Unranked
from arena.moderation.detectors.identity import reveals_identity


def cast_vote(
    battle_id: UUID, choice: str, turn_number: int, visitor: Visitor | None = None, machine: bool = False
) -> Vote:
    """Store the vote and its event, and reveal. `turn_number` is the last turn the voter has seen.

    `machine`: the browser says that it is a program.

    The vote's `battle` comes with its turns as `arena.transcript` reads them, and with `voted_before`: whether its visitor had.
    Battle.DoesNotExist when there is none, or it is not that of `visitor` (None: whoever's). Refused 409 while a side is being
    written, after a vote, or when the voter's page is older than the battle; 410 after expiry or for a void battle; 400 for an
    unknown choice.
    """
    if choice not in Choice.values:
        raise Refused(400, "choice", _("Please choose A, B, tie or both bad."))
    try:
        with transaction.atomic():
            battle = _locked(battle_id, visitor)
            return _store(battle, Choice(choice), _votable_turn(battle, turn_number), machine)
    except IntegrityError:  # the row lock makes this unreachable; the constraint is what makes it true
        raise Refused(409, "voted", _("You have already voted in this battle.")) from None


def _locked(battle_id: UUID, visitor: Visitor | None) -> Battle:
    """All that a vote looks at, in three queries; nobody else changes the battle until the transaction ends."""
    found = Battle.objects.filter(pk=battle_id, **({"visitor": visitor} if visitor else {}))
    votes = Vote.objects.filter(visitor=OuterRef("visitor"))
    return (
        found.select_for_update(of=("self",))
        .select_related("revision_a__contestant", "revision_b__contestant")
        .annotate(voted_before=Exists(votes))
        .prefetch_related(transcript.rows())
        .get()
    )


def _votable_turn(battle: Battle, turn_number: int) -> Turn:
    if battle.state == BattleState.VOTED:
        raise Refused(409, "voted", _("You have already voted in this battle."))
    if battle.state == BattleState.VOID:
        raise Refused(410, "void", _("This battle is over and takes no vote. Start a new one."))
    if battle.state != BattleState.READY:
        raise Refused(409, "not_ready", _("Both answers must be finished before you vote."))
    if battle.expires_at and battle.expires_at < clock.now():
        raise Refused(410, "expired", _("This battle has expired. Start a new one."))
    last = transcript.turns_of(battle)[-1]
    assert last.state == TurnState.DONE, "a battle is ready when its last turn is done"
    if last.number != turn_number:
        raise Refused(409, "stale", _("There are newer answers than your page shows. Please reload it."))
    return last


def _store(battle: Battle, choice: Choice, turn: Turn, machine: bool) -> Vote:
    moment = clock.now()
    replies = [reply for turn in transcript.turns_of(battle) for reply in turn.replies.all()]
    marked = _shows_identity(battle, [reply.message.text for reply in replies if reply.message])
    vote = Vote.objects.create(
        battle=battle,
        turn=turn,
        visitor_id=battle.visitor_id,
        choice=choice,
        identity_mark=marked,
        unranked=_why_unranked({reply.finish_reason for reply in replies}, marked),
        machine=machine,
        seconds_to_vote=max(0.0, (moment - (battle.ready_at or moment)).total_seconds()),
        created_at=moment,
    )
    VoteEvent.objects.create(
        origin=battle.origin,
        vote=vote,
        contestant_a=battle.revision_a.contestant,
        contestant_b=battle.revision_b.contestant,
        choice=choice,
        probability=battle.probability,
        judge=judge_of(battle.visitor_id),
        ranked=not vote.unranked,
        created_at=moment,
    )
    battle.state, battle.voted_at, battle.expires_at = BattleState.VOTED, moment, None
    battle.save(update_fields=["state", "voted_at", "expires_at"])
    return vote


def _why_unranked(reasons: Collection[str], marked: bool) -> str:
    """The public reason why a vote does not count, or "". Ranked: every reply ended as stop or length, no mark."""
    if marked:
        return Unranked.IDENTITY
    if FinishReason.STOPPED in reasons:
        return Unranked.STOPPED
    return Unranked.EARLY if FinishReason.EARLY in reasons else ""


def _shows_identity(battle: Battle, texts: Collection[str]) -> bool:
    """Whether any answer named either contestant (as itself), so that the battle was not blind."""
    names = {
        name
        for revision in (battle.revision_a, battle.revision_b)
        for name in (
            revision.contestant.name,
            revision.contestant.codename,
            revision.contestant.organisation,
            revision.model,
        )
        if name
    }
    return any(reveals_identity(text, names) for text in texts)
