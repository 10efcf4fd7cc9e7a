"""The shared page: names and vote always, texts only while every message of both sides is passed by the records themselves."""

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import reverse

from arena import battles, erasure
from arena.ids import uuid4
from arena.models import Battle, Conversation, Message, ModerationRecord
from arena.models.conversations import Verdict
from arena.models.moderation import Standing
from arena.moderation import decisions, enrichment, policy, verdicts
from arena.votes import cast_vote
from tests import factories
from tests.arena.views_help import Person
from tests.factories import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
TEXTS = ("Why is the sky blue?", "Alpha <text>", "Beta text")
WAITS = "a text becomes public only after it was checked"


@pytest.fixture
def battle() -> Battle:
    made = factories.ready(a=outcome("Alpha <text>"), b=outcome("Beta text"))
    Message.objects.filter(text="Alpha <text>").update(html="<p>Alpha &lt;text&gt; <strong>rendered</strong></p>")
    cast_vote(made.pk, "b", 1)
    battles.share(made)
    made.refresh_from_db()
    return made


@pytest.fixture
def ada() -> User:
    return User.objects.create(username="ada")


def page(battle: Battle) -> HttpResponse:
    return Person(agreed=False).get(reverse("shared", args=[battle.share_token]))


def shows(battle: Battle) -> bool:
    """Whether the page shows the texts; all of them or none."""
    response = page(battle)
    body = response.content.decode()
    assert response.status_code == 200 and "B is better" in body
    assert "noindex" in response["X-Robots-Tag"] and "no-store" in response["Cache-Control"]
    assert 'name="robots" content="noindex, nofollow"' in body
    assert str(battle.pk) not in body
    shown = {text.replace("<", "&lt;").replace(">", "&gt;") in body for text in TEXTS}
    assert len(shown) == 1
    assert (WAITS in body) != shown.copy().pop()
    return shown.pop()


def test_texts_wait_for_a_verdict_and_then_appear_as_stored(battle: Battle, ada: User) -> None:
    assert not shows(battle)
    enrichment.enrich(Message.objects.all())
    assert not shows(battle), "rules never pass"
    decisions.pass_battles([battle], ada, "Read.")
    assert shows(battle)
    body = page(battle).content.decode()
    assert "<p>Alpha &lt;text&gt; <strong>rendered</strong></p>" in body, "the sanitised html, as it was stored"
    assert battle.revision_a.contestant.name in body


def test_a_block_takes_them_back(battle: Battle, ada: User) -> None:
    decisions.pass_battles([battle], ada)
    decisions.block_battle(battle, ada, "Names a neighbour")
    assert not shows(battle)


def test_the_stored_verdict_is_not_enough(battle: Battle) -> None:
    Conversation.objects.update(verdict=Verdict.PASSED)
    assert not shows(battle)


def test_nor_are_records_without_the_stored_verdict(battle: Battle, ada: User) -> None:
    decisions.pass_battles([battle], ada)
    Conversation.objects.filter(pk=battle.conversation_b_id).update(verdict=Verdict.PENDING)
    assert not shows(battle)


def test_one_flagged_message_of_either_side_hides_both(battle: Battle) -> None:
    for message in Message.objects.all():
        passed = Standing.FLAGGED if message.text == "Beta text" else Standing.PASSED
        ModerationRecord.objects.create(
            message=message,
            text_sha256=verdicts.text_sha256(message.text),
            backend="openai",
            policy=policy.load().version,
            standing=passed,
        )
    verdicts.settle([battle.conversation_a_id, battle.conversation_b_id])
    battle.refresh_from_db()
    assert battle.conversation_a.verdict == Verdict.PASSED
    assert not shows(battle)


def test_a_policy_bump_or_a_broken_policy_hides_them_at_once(
    battle: Battle, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions.pass_battles([battle], ada)
    monkeypatch.setattr(policy.load(), "version", "later")
    assert not shows(battle)

    def broken(*_: object) -> None:
        raise policy.PolicyError("broken")

    monkeypatch.setattr(policy, "load", broken)
    assert not shows(battle)


def test_a_changed_text_hides_them(battle: Battle, ada: User) -> None:
    decisions.pass_battles([battle], ada)
    Message.objects.filter(text="Beta text").update(text="Beta text and more")
    assert page(battle).content.decode().count(WAITS) == 1


def test_what_was_said_after_the_reveal_stays_with_its_person_and_counts_for_the_verdict(
    battle: Battle, ada: User
) -> None:
    decisions.pass_battles([battle], ada)
    turn = battles.send(Battle.objects.select_related("visitor").get(pk=battle.pk), "My private question", uuid4(), "g")
    assert not shows(battle), "a message that nobody has looked at"
    factories.finish(turn, a=outcome("Private answer"))
    assert not shows(battle)
    decisions.pass_battles([battle], ada)
    assert shows(battle)
    assert "rivate" not in page(battle).content.decode()


def test_taking_the_link_back_or_erasing_ends_the_page(battle: Battle, ada: User) -> None:
    decisions.pass_battles([battle], ada)
    token = battle.share_token
    battles.unshare(battle)
    assert page(battle).status_code == 404
    battles.share(battle)
    battle.refresh_from_db()
    assert battle.share_token != token and shows(battle)
    erasure.erase(battle.visitor)
    assert page(battle).status_code == 404
