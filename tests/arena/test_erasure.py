"""S22: deleting one's data removes every text and every link to the person, keeps counts, and survives crashes and races."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from arena import appeals, battles, complaints, erasure, votes
from arena.models import (
    Battle,
    Consent,
    Conversation,
    Enrichment,
    GateBlock,
    Message,
    ModerationRecord,
    Reply,
    Report,
    Turn,
    Visitor,
    Vote,
    VoteEvent,
)
from arena.models.battles import BattleState, VoidReason
from arena.moderation import verdicts
from datasets import gate
from datasets.reasons import ADMITTED
from ranking import counts
from ranking.models import PairCount
from tests import factories
from tests.factories import outcome
from tests.traces import everything_stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
CANARY = "xylophone-quokka-7731"


def finding(message: Message) -> None:
    """What a detector and a moderator leave about a text."""
    digest = verdicts.text_sha256(message.text)
    numbers = dict.fromkeys(("chars", "words", "headers", "lists", "bold", "simhash"), 1)
    said = {"language": "en", "language_name": "English", "language_confidence": 1.0, "fingerprint": digest}
    Enrichment.objects.update_or_create(
        message=message, defaults={"version": "1", "text_sha256": digest} | said | numbers
    )
    ModerationRecord.objects.create(
        message=message, text_sha256=digest, backend="human", policy="1", standing="human_passed", reason=CANARY
    )


def life(visitor: Visitor) -> Battle:
    """Everything that a person can leave behind, with the canary in each text."""
    factories.consent(visitor, publish=True)
    first = factories.started(visitor, prompt=f"{CANARY} first")
    battle = factories.finish(first, a=outcome(f"{CANARY} a"), b=outcome(f"{CANARY} b"))
    Turn.objects.filter(battle=battle).update(group="deadbeef-0123")
    turn = battles.send(battle, f"{CANARY} again", uuid4(), "deadbeef-0123")
    battle = factories.finish(turn, a=outcome(f"{CANARY} c"), b=outcome(f"{CANARY} d"))
    votes.cast_vote(battle.pk, "a", 2)
    battles.share(battle)
    report = battles.report(turn.replies.first(), visitor, "other", f"{CANARY} report")
    block = GateBlock.objects.create(visitor=visitor, policy="1", category="c", rule="r", prompt=f"{CANARY} blocked")
    appeal = appeals.appeal(block, f"{CANARY} appeal")
    moderator = User.objects.get_or_create(username="mo")[0]
    complaints.decide(report, moderator, "upheld", "A moderator's own words.", block=True)
    complaints.decide(appeal, moderator, "dismissed", "A moderator's own words.")
    Report.objects.filter(pk=report.pk).update(note=f"{CANARY} quoted")
    for message in Message.objects.filter(conversation__visitor=visitor):
        finding(message)
    return battle


def traces(*needles: str) -> list[str]:
    return sorted({place for place, text in everything_stored() for needle in needles if needle in text})


def test_no_text_and_no_link_is_left() -> None:
    visitor = factories.visitor()
    battle = life(visitor)
    started = factories.started(visitor, prompt=f"{CANARY} waiting")
    digests = [verdicts.text_sha256(text) for text in Message.objects.values_list("text", flat=True)]
    keys = [str(key) for key in Turn.objects.values_list("key", flat=True)]
    assert {"arena_message", "arena_report", "arena_appeal", "arena_gateblock"} <= set(traces(CANARY))
    assert erasure.erase(visitor) == 2
    assert traces(CANARY, "deadbeef", *digests, *keys, str(visitor.pk)) == []
    battle.refresh_from_db()
    assert (battle.visitor, battle.consent, battle.share_token) == (None, None, None)
    assert not Conversation.objects.filter(erased_at=None).exists()
    assert not Visitor.objects.exists() and not Consent.objects.exists()
    started.refresh_from_db()
    assert (started.state, started.battle.state, started.battle.void_reason) == ("done", "void", VoidReason.ERASED)


def test_votes_and_counts_stay_anonymised() -> None:
    visitor = factories.visitor()
    battle = life(visitor)
    counts.absorb()
    columns = ("id", "choice", "ranked", "absorbed", "judge")
    before = list(VoteEvent.objects.values_list(*columns))
    erasure.erase(visitor)
    vote = Vote.objects.get(battle=battle)
    assert (vote.choice, vote.visitor) == ("a", None)
    assert list(VoteEvent.objects.values_list(*columns)) == before and all(row[-1] for row in before)
    battle.refresh_from_db()
    assert battle.state == BattleState.VOTED
    assert Reply.objects.filter(turn__battle=battle, state="done", tokens_out=7).count() == 4
    assert counts.absorb() == 0 and sum(PairCount.objects.values_list("count", flat=True)) == 1
    assert Report.objects.get().decision == "upheld" and GateBlock.objects.get().rule == "r"


def test_others_keep_everything() -> None:
    mine, other = factories.visitor(), factories.visitor()
    life(mine)
    life(other)
    before = Message.objects.filter(conversation__visitor=other).count()
    erasure.erase(mine)
    assert Message.objects.filter(conversation__visitor=other, text__contains=CANARY).count() == before == 8
    assert Enrichment.objects.count() == 8
    assert Report.objects.get(visitor=other).text and GateBlock.objects.get(visitor=other).prompt
    assert Battle.objects.get(visitor=other).share_token and other.consents.exists()


def test_erasing_twice_is_erasing_once() -> None:
    visitor = factories.visitor()
    life(visitor)
    again = Visitor.objects.get()
    assert (erasure.erase(visitor), erasure.erase(again)) == (1, 0)


def test_one_battle_alone_and_its_person_stays() -> None:
    visitor = factories.visitor()
    first, second = life(visitor), factories.ready(visitor, a=outcome("kept"), b=outcome("kept"))
    erasure.erase_battle(first)
    assert Visitor.objects.get() == visitor
    assert list(visitor.battles.all()) == [second]
    assert set(Message.objects.filter(conversation=first.conversation_a_id).values_list("text", "html")) == {("", "")}
    assert Message.objects.filter(text="kept").count() == 2
    assert "arena_message" not in traces(CANARY)


def test_no_release_takes_it_any_more() -> None:
    visitor = factories.visitor()
    battle = life(visitor)
    erasure.erase(visitor)
    assert [decision.reason for decision in gate.admit([battle.pk])] != [ADMITTED]
    assert gate.admit([battle.pk])[0].conversations == ()


def test_a_crash_in_the_middle_leaves_everything(monkeypatch) -> None:
    visitor = factories.visitor()
    battle = life(visitor)
    before = sorted(everything_stored())

    def crash(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(Visitor, "delete", crash)
    with pytest.raises(RuntimeError):
        erasure.erase(visitor)
    assert sorted(everything_stored()) == before
    monkeypatch.undo()
    erasure.erase(visitor)
    assert traces(CANARY) == [] and Battle.objects.get(pk=battle.pk).visitor is None
