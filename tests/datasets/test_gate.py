"""The release gate, rule by rule. Names with a number are the items of the test list of the privacy reference.

Not in this version: item 16's search, statistics and embeddings, and item 20's k-anonymity, speak of pages and columns that do
not exist (a release has no column but text, model and language; `test_20` holds that). PII that is split over two messages (11)
is seen by no detector yet: each message is searched by itself. The other items are here, in test_meanwhile.py, test_export.py,
test_downloads.py and test_pages.py.
"""

from uuid import uuid4

import pytest

from arena import battles, clock
from arena.models import Battle, Enrichment, Message, ModerationRecord
from arena.moderation import enrichment, verdicts
from datasets import gate
from datasets.reasons import ADMITTED, Drop
from tests import factories
from tests.datasets import rows
from tests.datasets.gating import decide, first, reason

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


FULL_WIDTH_IBAN = "".join(chr(ord(char) + 0xFEE0) for char in "DE89370400440532013000")


def test_a_battle_leaves_with_both_sides_and_the_public_names() -> None:
    battle = rows.releasable(prompt="Why?", a="Because A.", b="Because B.")
    decision = decide(battle)
    assert decision.reason == ADMITTED
    a, b = decision.conversations
    assert (a.conversation_id, b.conversation_id) == (battle.conversation_a_id, battle.conversation_b_id)
    assert [(said.role, said.text) for said in a.messages] == [("user", "Why?"), ("assistant", "Because A.")]
    assert [(said.role, said.text) for said in b.messages] == [("user", "Why?"), ("assistant", "Because B.")]
    assert a.model == battle.revision_a.contestant.display_name
    assert {said.passed_by for said in a.messages} == {("human",)}


def test_an_abandoned_battle_may_leave() -> None:
    battle = rows.releasable()
    Battle.objects.filter(pk=battle.pk).update(state="void", void_reason="abandoned")
    assert reason(battle) == ADMITTED


def test_1_no_older_or_withdrawn_consent() -> None:
    no_consent, before, withdrawn = rows.releasable(), rows.releasable(), rows.releasable()
    Battle.objects.filter(pk=no_consent.pk).update(consent=None)
    assert reason(no_consent) == Drop.NO_CONSENT
    earlier = factories.consent(before.visitor, publish=False)
    Battle.objects.filter(pk=before.pk).update(consent=earlier)
    factories.consent(before.visitor, publish=True)
    assert reason(before) == Drop.NOT_PUBLISHABLE, "a later yes does not reach back"
    factories.consent(withdrawn.visitor, publish=False)
    assert reason(withdrawn) == Drop.WITHDRAWN
    factories.consent(withdrawn.visitor, publish=True)
    assert reason(withdrawn) == Drop.WITHDRAWN, "a new yes counts for what is said under it"
    assert reason(rows.releasable(withdrawn.visitor)) == ADMITTED


def test_1_the_consent_of_somebody_else_is_none() -> None:
    battle = rows.releasable()
    Battle.objects.filter(pk=battle.pk).update(consent=factories.consent(factories.visitor(), publish=True))
    assert reason(battle) == Drop.NO_CONSENT


def test_2_consent_to_use_is_not_consent_to_publish() -> None:
    person = factories.visitor()
    factories.consent(person, publish=False)
    assert reason(rows.releasable(person)) == Drop.NOT_PUBLISHABLE


@pytest.mark.parametrize(
    ("standing", "backend", "why"),
    [
        ("pending", "rules", Drop.MODERATION_PENDING),
        ("passed", "rules", Drop.MODERATION_PENDING),
        ("error", "openai", Drop.MODERATION_ERROR),
        ("flagged", "openai", Drop.FLAGGED),
        ("flagged", "rules", Drop.FLAGGED),
        ("human_blocked", "human", Drop.BLOCKED),
    ],
)
def test_3_a_message_that_nobody_passed(standing: str, backend: str, why: Drop) -> None:
    battle = rows.releasable()
    message = first(battle)
    ModerationRecord.objects.filter(message=message).delete()
    rows.look(message, standing, backend)
    assert reason(battle) == why


def test_3_no_record_or_an_old_policy() -> None:
    battle = rows.releasable()
    ModerationRecord.objects.filter(message=first(battle)).update(policy="older")
    assert reason(battle) == Drop.MODERATION_STALE
    ModerationRecord.objects.filter(message=first(battle)).delete()
    assert reason(battle) == Drop.MODERATION_MISSING


def test_4_a_text_that_changed_after_it_was_moderated() -> None:
    battle = rows.releasable()
    Message.objects.filter(pk=first(battle).pk).update(text="Something else")
    assert reason(battle) == Drop.MODERATION_STALE
    rows.look(first(battle))
    assert reason(battle) == Drop.ENRICHED_STALE, "the detectors have seen the old text, too"


def test_5_one_side_passed_and_the_other_flagged() -> None:
    for side in ("a", "b"):
        battle = rows.releasable()
        answer = Message.objects.get(conversation=battle.conversation_id(side), position=1)
        rows.look(answer, "human_blocked")
        assert reason(battle) == Drop.BLOCKED


def test_6_flagged_only_in_the_fifth_turn() -> None:
    battle = rows.fought()
    for number in range(2, 6):
        turn = battles.send(Battle.objects.get(pk=battle.pk), f"And {number}?", uuid4(), "g")
        factories.finish(turn)
    for message in rows.messages(battle):
        rows.enrich(message)
        rows.look(message)
    assert reason(battle) == ADMITTED and len(decide(battle).conversations[0].messages) == 10
    last = Message.objects.get(conversation=battle.conversation_b_id, position=9)
    rows.look(last, "human_blocked")
    assert reason(battle) == Drop.BLOCKED


def test_7_a_flagged_system_prompt() -> None:
    for words in ("Be kind.", "how to make a pipe bomb"):
        factories.contestant(system_prompt=words)
    battle = rows.releasable()
    assert {battle.revision_a.system_prompt, battle.revision_b.system_prompt} == {"Be kind.", "how to make a pipe bomb"}
    assert reason(battle) == Drop.SYSTEM_PROMPT


@pytest.mark.parametrize(
    "backend_error", ["timeout", "http_500", "malformed", "nan_score", "unknown_category", "empty"]
)
def test_8_a_backend_that_failed_passes_nothing(backend_error: str) -> None:
    """How a backend fails is its own test's matter (tests/arena/moderation); here: whatever it was, nothing leaves."""
    battle = rows.releasable()
    ModerationRecord.objects.filter(message=first(battle)).delete()
    rows.look(first(battle), "error", "openai", error=backend_error, scores={"sexual": None})
    assert reason(battle) == Drop.MODERATION_ERROR


def test_9_passed_by_a_moderator_and_then_a_new_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    battle = rows.releasable()
    monkeypatch.setattr(verdicts, "current_policy", lambda: "the next one")
    assert reason(battle) == Drop.MODERATION_STALE


def test_10_deleted_or_without_its_person() -> None:
    battle = rows.releasable()
    type(battle.conversation_b).objects.filter(pk=battle.conversation_b_id).update(erased_at=clock.now())
    assert reason(battle) == Drop.ERASED
    gone = rows.releasable()
    gone.visitor.delete()
    assert reason(gone) == Drop.NO_VISITOR


@pytest.mark.parametrize("position", [0, 1])
def test_11_personal_data_in_a_prompt_or_only_in_an_answer(position: int) -> None:
    battle = rows.releasable()
    message = Message.objects.get(conversation=battle.conversation_b_id, position=position)
    rows.enrich(message, pii=[["email", 0, 3]])
    assert reason(battle) == Drop.PERSONAL_DATA


@pytest.mark.parametrize(
    "text",
    [
        "Mail anna.example@example.org today",
        "Mail an\u200bna.example@exa\u200bmple.org today",
        "Mail anna.example\uff20example.org today",
        f"Pay to {FULL_WIDTH_IBAN}",
        "Pay to DE89 3704 0044 0532 0130 00",
        "Pay to DE89370400440532013000",
        "```\nOPENAI_API_KEY=sk-proj-Zk3Wq8vN2xT7bR5mYc9LpHd4JfGs6VaEuXn1QwBt\n```",
    ],
)
def test_11_and_12_the_detectors_themselves(text: str) -> None:
    """Only in an answer, and as the site's own detectors see it: zero-width characters, full-width digits, code blocks."""
    battle = rows.fought(b=text)
    for message in rows.messages(battle):
        rows.look(message)
    enrichment.enrich(rows.messages(battle))
    assert reason(battle) == Drop.PERSONAL_DATA


def test_what_the_detectors_find_harmless_leaves() -> None:
    battle = rows.fought(b="See version 3.11.7 on 127.0.0.1:8000, order 2026-11-25.")
    for message in rows.messages(battle):
        rows.look(message)
    enrichment.enrich(rows.messages(battle))
    assert reason(battle) == ADMITTED


def test_12_a_secret_in_a_code_block_is_a_span_like_any_other() -> None:
    battle = rows.releasable(a="```\nkey = sk-live-0123456789abcdefghij\n```")
    assert reason(battle) == ADMITTED
    answer = Message.objects.get(conversation=battle.conversation_a_id, position=1)
    rows.enrich(answer, pii=[["key", 10, 36]])
    assert reason(battle) == Drop.PERSONAL_DATA


def test_not_searched_or_searched_by_an_older_version() -> None:
    battle = rows.releasable()
    rows.enrich(first(battle), version="0")
    assert reason(battle) == Drop.ENRICHED_STALE
    Enrichment.objects.filter(message=first(battle)).delete()
    assert reason(battle) == Drop.NOT_ENRICHED


@pytest.mark.parametrize("category", ["sexual/minors", "minors"])
def test_14_minors_keep_a_conversation_in_whatever_a_moderator_says(category: str) -> None:
    battle = rows.releasable()
    rows.look(first(battle), "flagged", "openai", categories=[category], policy="long ago")
    rows.look(first(battle))
    assert reason(battle) == Drop.MINORS


def test_21_every_battle_gets_exactly_one_answer() -> None:
    made = [rows.releasable() for _ in range(3)] + [factories.ready(rows.publisher())]
    decisions = gate.admit([battle.pk for battle in made])
    assert [decision.battle_id for decision in decisions] == [battle.pk for battle in made]
    assert [decision.reason for decision in decisions] == [ADMITTED] * 3 + [Drop.OPEN]
