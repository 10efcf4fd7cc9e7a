"""Moderation in the running site: worker-batch enriches what was said, and a cut answer is taken back from the browser."""

import json
import time

import pytest

from arena.models import Battle, Enrichment, ModerationRecord
from arena.models.moderation import Standing
from tests.person import Person, Screen
from tests.stack import Stack

pytestmark = pytest.mark.faults
PATIENCE_S = 30.0
HONEST = "It is a long and honest introduction to the question that was asked here today."
INSTRUCTS = "First, mix the two powders. Then fill the pipe bomb with it. And so it goes on for a while."


def asking(text: str, rate: int = 0) -> str:
    """A prompt that makes the stub engine say `text`."""
    return json.dumps({"stub": {"text": text, "rate": rate}})


def until_enriched(battle: Battle, messages: int) -> None:
    sides, deadline = [battle.conversation_a_id, battle.conversation_b_id], time.monotonic() + PATIENCE_S
    while Enrichment.objects.filter(message__conversation__in=sides).count() < messages:
        assert time.monotonic() < deadline, "not enriched"
        time.sleep(0.1)


def battle_at(path: str) -> Battle:
    return Battle.objects.get(pk=path.split("/")[2])


def test_what_was_said_is_enriched_by_the_worker(stack: Stack) -> None:
    person = Person(stack.url)
    path = person.start(asking("Schreib an anna.karlsson@example.org, bitte."))
    list(person.events(path))
    battle = battle_at(path)
    until_enriched(battle, 4)
    answer = Enrichment.objects.get(message__conversation=battle.conversation_a_id, message__role="assistant")
    assert answer.language == "de"
    assert [kind for kind, _start, _end in answer.pii] == ["email"]
    records = ModerationRecord.objects.filter(message__conversation=battle.conversation_a_id)
    assert {record.standing for record in records} == {Standing.PENDING}


def test_a_cut_answer_is_taken_back(stack: Stack) -> None:
    person, screen = Person(stack.url), Screen()
    path = person.start(asking(f"{HONEST} {INSTRUCTS}", rate=12))
    shown = ""
    for told in person.events(path):
        screen.apply(told)
        shown = max(shown, screen.text("a"), key=len)
    assert "long and honest" in shown, "the first sentence was on the screen"
    assert "goes on for a while" not in shown, "it ended with the sentence that went too far"
    assert screen.text("a") == screen.text("b") == ""
    assert screen.ended == {"a": "blocked", "b": "blocked"}
    assert screen.battle == "void"
    page = person.get(path).text
    assert "An answer was withheld" in page
    assert page.count(HONEST) == page.count(HONEST.replace('"', "&quot;")) <= 2, "in the prompt only"
    assert person.vote(path).status == 410
    until_enriched(battle_at(path), 4)
    flagged = ModerationRecord.objects.filter(
        message__conversation=battle_at(path).conversation_a_id, message__role="assistant"
    )
    assert [(record.standing, record.categories) for record in flagged] == [(Standing.FLAGGED, ["weapons"])]
