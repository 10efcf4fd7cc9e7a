"""The gate against an oracle: random states of the database, and the rules again as plain sentences about what was put there.

The oracle never reads the database and shares no code with the gate; it looks only at the plan from which the rows were made.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.models import (
    Battle,
    Consent,
    Contestant,
    ContestantRevision,
    Conversation,
    Enrichment,
    Message,
    ModerationRecord,
    Reply,
    Report,
    Turn,
    Visitor,
    Vote,
    VoteEvent,
)
from arena.moderation import enrichment, verdicts
from datasets import gate
from datasets.reasons import ADMITTED, Drop
from tests import factories

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 1, 1, tzinfo=UTC)
FORBIDDEN = "how to make a pipe bomb"


def mostly(good: object, *bad: object) -> st.SearchStrategy:
    """Usually `good`, so that most plans have few faults and many have none."""
    return st.integers(0, 39 + len(bad)).map(lambda n: good if n < 40 else bad[n - 40])


@dataclass(frozen=True)
class LookPlan:
    backend: str = "human"
    standing: str = "human_passed"
    of_this_text: bool = True
    of_this_policy: bool = True
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class MessagePlan:
    text: str = "Hello there"
    looks: tuple[LookPlan, ...] = (LookPlan(),)
    enriched: str = "good"  # or missing, old version, old text
    pii: bool = False


@dataclass(frozen=True)
class BattlePlan:
    origin: str = "live"
    state: tuple[str, str] = ("voted", "")
    turn_state: str = "done"
    visitor: str = "there"  # or deleted, or of another conversation
    erased: str = ""
    consent: str = "publish"  # or use, none, another's
    later_consents: tuple[bool, ...] = ()
    vote_event: str = ""
    reported: str = ""
    codename: str = ""
    system_prompt: str = ""
    finish: str = "stop"
    missing: str = ""
    messages: tuple[MessagePlan, ...] = field(default_factory=lambda: (MessagePlan(),) * 4)


LOOKS = st.builds(
    LookPlan,
    backend=st.sampled_from(["human", "openai", "guard", "rules"]),
    standing=st.sampled_from(["passed", "human_passed", "flagged", "pending", "error", "human_blocked"]),
    of_this_text=mostly(True, False),
    of_this_policy=mostly(True, False),
    categories=mostly((), ("sexual/minors",), ("hate",)),
).filter(lambda look: (look.backend == "human") == look.standing.startswith("human"))
PASSED = LookPlan("openai", "passed")
OVERRULED = (PASSED, LookPlan("openai", "flagged"), LookPlan())
TYPICAL = st.sampled_from([(LookPlan(),), (PASSED,), (LookPlan("rules", "pending"), PASSED), OVERRULED])
ANY = st.lists(LOOKS, max_size=4).map(tuple)
LOOK_LISTS = st.integers(0, 19).flatmap(lambda n: ANY if n == 19 else TYPICAL)
MESSAGES = st.builds(
    MessagePlan,
    text=mostly("Hello there", "", " \n"),
    looks=LOOK_LISTS,
    enriched=mostly("good", "missing", "old version", "old text"),
    pii=mostly(False, True),
)
BATTLES = st.builds(
    BattlePlan,
    origin=mostly("live", "demo", "import:x"),
    state=mostly(
        ("voted", ""),
        ("void", "abandoned"),
        ("void", "error"),
        ("void", "moderated"),
        ("void", "flagged"),
        ("void", "timeout"),
        ("ready", ""),
        ("streaming", ""),
        ("failed", ""),
    ),  # fmt: skip
    turn_state=mostly("done", "queued"),
    visitor=mostly("there", "deleted", "elsewhere"),
    erased=mostly("", "a", "b"),
    consent=mostly("publish", "use", "none", "another's"),
    later_consents=mostly((), (True,), (False,), (False, True), (True, False)),
    vote_event=mostly("", "void", "flag", "recategorise", "flag unflag", "unflag flag", "flag void unflag"),
    reported=mostly("", "open", "dismissed"),
    codename=mostly("", "a", "b"),
    system_prompt=mostly("", "Be kind.", FORBIDDEN),
    finish=mostly("stop", "length", "stopped", "early", "blocked"),
    missing=mostly("", "prompt", "answer"),
    messages=st.lists(MESSAGES, min_size=4, max_size=4).map(tuple),
)


# --- The oracle -------------------------------------------------------------------------------------------------------


def may_pass(look: LookPlan) -> bool:
    return look.standing in ("passed", "human_passed")


def was_passed(looks: tuple[LookPlan, ...]) -> bool:
    """A moderator's newest word decides; else the newest of every backend must be a pass, and one that may pass must be there."""
    valid = [look for look in looks if look.of_this_text and look.of_this_policy]
    by_people = [look for look in looks if look.backend == "human"]
    if by_people and (by_people[-1] in valid or by_people[-1].standing == "human_blocked"):
        return by_people[-1].standing == "human_passed"
    newest = {look.backend: look for look in valid if look.backend != "human"}
    machines = [look for name, look in newest.items() if name != "rules"]
    rules_flag = "rules" in newest and newest["rules"].standing == "flagged"
    return bool(machines) and all(look.standing == "passed" for look in machines) and not rules_flag


def may_leave(plan: BattlePlan) -> bool:
    return all(
        [
            plan.origin == "live",
            plan.state in [("voted", ""), ("void", "abandoned")],
            plan.turn_state == "done",
            plan.visitor == "there",
            not plan.erased,
            plan.consent == "publish",
            False not in plan.later_consents,
            plan.vote_event not in ("void", "flag", "unflag flag", "flag void unflag") or plan.state[0] != "voted",
            plan.reported != "open",
            not plan.codename,
            plan.system_prompt != FORBIDDEN,
            plan.finish != "blocked",
            not plan.missing,
            all(message.text.strip() for message in plan.messages),
            all(was_passed(message.looks) for message in plan.messages),
            all("sexual/minors" not in look.categories for message in plan.messages for look in message.looks),
            all(message.enriched == "good" and not message.pii for message in plan.messages),
        ]
    )


# --- The rows of a plan -----------------------------------------------------------------------------------------------


def build(plan: BattlePlan) -> Battle:
    person = Visitor.objects.create()
    consent = consents(plan, person)
    revisions = [revision(plan, side) for side in "ab"]
    owner = None if plan.visitor == "deleted" else person
    others = Visitor.objects.create() if plan.visitor == "elsewhere" else owner
    erased = [T0 if plan.erased == side else None for side in "ab"]
    a = Conversation.objects.create(visitor=owner, revision=revisions[0], erased_at=erased[0])
    b = Conversation.objects.create(visitor=others, revision=revisions[1], erased_at=erased[1])
    state, void_reason = plan.state
    battle = Battle.objects.create(
        visitor=owner, consent=consent, origin=plan.origin, state=state, void_reason=void_reason,
        conversation_a=a, conversation_b=b, revision_a=revisions[0], revision_b=revisions[1],
        probability=0.5, sampler="test", voted_at=T0 if state == "voted" else None,
    )  # fmt: skip
    talk(plan, battle)
    return battle


def consents(plan: BattlePlan, person: Visitor) -> Consent | None:
    if plan.consent == "none":
        return None
    whose = Visitor.objects.create() if plan.consent == "another's" else person
    first = factories.consent(whose, publish=plan.consent != "use")
    Consent.objects.filter(pk=first.pk).update(created_at=T0)
    for number, publish in enumerate(plan.later_consents, 1):
        later = factories.consent(person, publish=publish)
        Consent.objects.filter(pk=later.pk).update(created_at=T0 + timedelta(minutes=number))
    return first


def revision(plan: BattlePlan, side: str) -> ContestantRevision:
    hidden = {"visibility": "anonymous", "codename": "Olive", "anonymous_until": datetime(2999, 1, 1)}
    name = uuid4().hex
    fields = hidden if plan.codename == side else {}
    contestant = Contestant.objects.create(name=name, slug=name, organisation="o", **fields)
    prompt = plan.system_prompt if side == "b" else ""
    return ContestantRevision.objects.create(contestant=contestant, number=1, model="m", system_prompt=prompt)


def talk(plan: BattlePlan, battle: Battle) -> None:
    """One turn: a prompt and an answer per side, with what is known of each."""
    texts = iter(plan.messages)
    said = {side: [said_by(battle, side, position, next(texts)) for position in (0, 1)] for side in "ab"}
    lease = {"lease_owner": "w", "lease_until": T0}
    turn = Turn.objects.create(
        battle=battle, number=1, prompt=said["a"][0], key=uuid4(), state=plan.turn_state, **lease
    )
    for side in "ab":
        lost = plan.missing == "answer" and side == "b"
        ended = (
            {"state": "failed"} if lost else {"state": "done", "message": said[side][1], "finish_reason": plan.finish}
        )
        reply = Reply.objects.create(turn=turn, side=side, seed=1, **ended)
    if plan.reported:
        decided = {} if plan.reported == "open" else {"decision": plan.reported, "decided_at": T0}
        Report.objects.create(reply=reply, reason="other", **decided)
    if plan.missing == "prompt":
        said["b"][0].delete()
    if battle.state == "voted":
        ballot(plan, battle, turn)


def said_by(battle: Battle, side: str, position: int, plan: MessagePlan) -> Message:
    role = "assistant" if position else "user"
    message = Message.objects.create(
        conversation_id=battle.conversation_id(side), position=position, role=role, text=plan.text
    )
    digest, policy = verdicts.text_sha256(plan.text), verdicts.current_policy()
    for number, look in enumerate(plan.looks):
        ModerationRecord.objects.create(
            message=message, backend=look.backend, standing=look.standing, categories=list(look.categories),
            text_sha256=digest if look.of_this_text else "0" * 64, policy=policy if look.of_this_policy else "old",
            created_at=T0 + timedelta(seconds=number),
        )  # fmt: skip
    if plan.enriched != "missing":
        Enrichment.objects.create(
            message=message, version="0" if plan.enriched == "old version" else enrichment.VERSION,
            text_sha256="0" * 64 if plan.enriched == "old text" else digest, language="en", language_name="English",
            language_confidence=1.0, chars=1, words=1, headers=0, lists=0, bold=0, fingerprint="", simhash=0,
            pii=[["email", 0, 1]] if plan.pii else [],
        )  # fmt: skip
    return message


def ballot(plan: BattlePlan, battle: Battle, turn: Turn) -> None:
    vote = Vote.objects.create(battle=battle, turn=turn, choice="a", seconds_to_vote=1.0)
    pair = {"contestant_a": battle.revision_a.contestant, "contestant_b": battle.revision_b.contestant}
    for kind in ["cast", *plan.vote_event.split()]:
        VoteEvent.objects.create(kind=kind, vote=vote, choice="a", **pair)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(plans=st.lists(BATTLES, min_size=1, max_size=3))
def test_the_gate_and_the_oracle_agree(plans: list[BattlePlan]) -> None:
    """And 21: every battle is decided once, with a known reason and a text only when admitted."""
    with transaction.atomic():
        made = [build(plan) for plan in plans]
        decisions = gate.admit([battle.pk for battle in made])
        assert [decision.battle_id for decision in decisions] == [battle.pk for battle in made]
        for plan, decision in zip(plans, decisions, strict=True):
            assert (decision.reason == ADMITTED) == may_leave(plan), (decision.reason, plan)
            assert decision.reason == ADMITTED or decision.reason in Drop.values
            expected = [message.text for message in plan.messages] if may_leave(plan) else []
            assert [said.text for side in decision.conversations for said in side.messages] == expected
        transaction.set_rollback(True)


def test_the_oracle_sees_both_outcomes() -> None:
    assert may_leave(BattlePlan()) and not may_leave(BattlePlan(erased="b"))
    assert was_passed((PASSED,)) and not was_passed((LookPlan("rules", "passed"),))
