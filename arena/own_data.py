"""Everything that the site holds about one visitor, as plain data: for the export of /me, and for nobody else.

Read in pieces of bounded size, so that a person with thousands of battles can be answered. A contestant is named where a vote
has revealed it, and nowhere before: neither names nor anything that tells them apart (tokens, timings) leave here earlier. An
answer that was cut by a moderation rule is mentioned without its text.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.module_loading import import_string

from arena import clock, receipts
from arena.models import Appeal, Ban, Battle, Consent, GateBlock, Reply, Report, Side, Turn, Visitor, Vote
from arena.models.battles import FinishReason
from arena.models.moderation import Complaint

VERSION = 1
AT_ONCE = 10  # rows read together; of battles, each has at most MAX_TURNS turns of two answers
RELEASES = "datasets.own_data.releases_of"  # joined by name: datasets stands above arena
Fact = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """One kind of row: which there are, oldest first, and what some of them hold, as long as they are still the visitor's."""

    ids: Callable[[Visitor], list[UUID]]
    read: Callable[[Visitor, Sequence[UUID]], list[Fact]]

    def pieces(self, visitor: Visitor) -> list[list[UUID]]:
        """The ids, AT_ONCE at a time."""
        ids = self.ids(visitor)
        return [ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE)]


def about(visitor: Visitor) -> Fact:
    """What is not in a section."""
    return {
        "format": "agon own data",
        "version": VERSION,
        "site": settings.SITE_URL,
        "made_at": clock.now(),
        "first_seen": visitor.created_at,
        "last_seen": visitor.last_seen_at,
        "has_recovery_code": visitor.recovery_hash is not None,
    }


def releases_of(conversation_ids: Iterable[UUID]) -> dict[UUID, list[Fact]]:
    """Which releases each conversation is in, under which public id."""
    find: Callable[[Iterable[UUID]], dict[UUID, list[Fact]]] = import_string(RELEASES)
    return find(conversation_ids)


def consents(visitor: Visitor, ids: Sequence[UUID]) -> list[Fact]:
    rows = Consent.objects.filter(pk__in=ids, visitor=visitor).select_related("terms").order_by("created_at")
    return [
        {"terms_version": one.terms.number, "publish": one.publish, "language": one.locale, "at": one.created_at}
        for one in rows
    ]


def reports(visitor: Visitor, ids: Sequence[UUID]) -> list[Fact]:
    rows = Report.objects.filter(pk__in=ids, visitor=visitor).select_related("reply__turn").order_by("created_at")
    return [
        {
            "battle": str(one.reply.turn.battle_id),
            "turn": one.reply.turn.number,
            "side": one.reply.side,
            "reason": one.reason,
            "text": one.text,
            "at": one.created_at,
        }
        | _decision(one)
        for one in rows
    ]


def blocked_prompts(visitor: Visitor, ids: Sequence[UUID]) -> list[Fact]:
    """With the appeals against them."""
    rows = GateBlock.objects.filter(pk__in=ids, visitor=visitor).select_related("appeal").order_by("created_at")
    return [
        {"prompt": one.prompt, "category": one.category, "at": one.created_at, "appeal": _appeal(one)} for one in rows
    ]


def bans(visitor: Visitor, ids: Sequence[UUID]) -> list[Fact]:
    """Of the visitor; bans of an address prefix are not tied to anybody."""
    return [
        {"reason": one.reason, "from": one.created_at, "until": one.expires_at, "lifted_at": one.lifted_at}
        for one in Ban.objects.filter(pk__in=ids, visitor=visitor).order_by("created_at")
    ]


def battles(visitor: Visitor, ids: Sequence[UUID]) -> list[Fact]:
    """With everything said; also those whose prompt silently went to another pair."""
    related = ("revision_a__contestant", "revision_b__contestant", "vote")
    found = Battle.objects.filter(pk__in=ids, visitor=visitor).select_related(*related).order_by("created_at")
    said: dict[UUID, list[Fact]] = defaultdict(list)
    turns = Turn.objects.filter(battle__in=ids).select_related("prompt").prefetch_related("replies__message")
    for turn in turns.order_by("number"):
        said[turn.battle_id].append(_turn(turn))
    released = releases_of([battle.conversation_id(side) for battle in found for side in Side])
    return [_battle(battle, said[battle.pk], released) for battle in found]


def _battle(battle: Battle, turns: list[Fact], released: dict[UUID, list[Fact]]) -> Fact:
    vote = getattr(battle, "vote", None)
    return {
        "id": str(battle.pk),
        "address": settings.SITE_URL + reverse("battle", args=[battle.pk]),
        "begun_at": battle.created_at,
        "state": battle.state,
        "void_reason": battle.void_reason or None,
        "models": {side: battle.revision(side).contestant.display_name if battle.revealed else None for side in Side},
        "vote": vote and _vote(vote),
        "share_link": battle.share_token and settings.SITE_URL + reverse("shared", args=[battle.share_token]),
        "turns": turns,
        "releases": {side: released.get(battle.conversation_id(side), []) for side in Side},
    }


def _vote(vote: Vote) -> Fact:
    fact = {"choice": vote.choice, "unranked": vote.unranked or None, "at": vote.created_at}
    return fact | {"receipt": receipts.receipt(vote.pk)}


def _turn(turn: Turn) -> Fact:
    answers = {reply.side: _answer(reply) for reply in turn.replies.all()}
    return {"number": turn.number, "at": turn.created_at, "prompt": turn.prompt.text, "answers": answers}


def _answer(reply: Reply) -> Fact:
    cut = reply.finish_reason == FinishReason.BLOCKED
    text = reply.message.text if reply.message and not cut else None
    return {"state": reply.state, "ended": reply.finish_reason or None, "text": text}


def _appeal(block: GateBlock) -> Fact | None:
    appeal: Appeal | None = getattr(block, "appeal", None)
    if appeal is None:
        return None
    return {"text": appeal.text, "at": appeal.created_at, "answer": appeal.note or None} | _decision(appeal)


def _decision(complaint: Complaint) -> Fact:
    return {"decision": complaint.decision or None, "decided_at": complaint.decided_at}


def _of(kind: type[Any]) -> Callable[[Visitor], list[UUID]]:
    return lambda visitor: list(
        kind.objects.filter(visitor=visitor).order_by("created_at").values_list("pk", flat=True)
    )


SECTIONS = {
    "consents": Section(_of(Consent), consents),
    "bans": Section(_of(Ban), bans),
    "reports": Section(_of(Report), reports),
    "blocked_prompts": Section(_of(GateBlock), blocked_prompts),
    "battles": Section(_of(Battle), battles),
}
