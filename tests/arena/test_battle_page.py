"""The battle's page in the admin: both sides, what is known of them, who may read, and what can be done."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from arena import bans, battles, pages, voiding
from arena.models import AuditEntry, Battle, Consent, Enrichment, Message, Turn, Vote, VoteEvent
from arena.moderation import decisions, verdicts
from arena.votes import cast_vote
from tests import factories

pytestmark = pytest.mark.django_db


def member(group: str, name: str = "") -> Client:
    user = User.objects.create_user(name or group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def battle(**outcomes: object) -> Battle:
    outcomes = outcomes or {"a": factories.outcome("Alpha says"), "b": factories.outcome("Beta says")}
    return factories.ready(**outcomes)


def url(of: Battle, verb: str = "change") -> str:
    name = "arena_battle_change" if verb == "change" else f"arena_battle_{verb}"
    return reverse(f"admin:{name}", args=[of.pk])


def test_a_moderator_sees_both_sides_with_all_that_is_known(valkey: object) -> None:
    one = battle()
    battles.send(one, "And why is it red at dusk?", uuid4(), "g")
    failed = factories.outcome(error="timeout")
    factories.finish(Turn.objects.get(battle=one, number=2), a=factories.outcome("Alpha again"), b=failed)
    reply = Turn.objects.get(battle=one, number=1).replies.get(side="b")
    battles.report(reply, one.visitor, "harmful", "look at this")
    message = Message.objects.get(conversation=one.conversation_a, position=1)
    zeros = dict.fromkeys(("chars", "words", "headers", "lists", "bold", "simhash", "language_confidence"), 0)
    digest = verdicts.text_sha256(message.text)
    Enrichment.objects.create(
        message=message,
        version="1",
        text_sha256=digest,
        language="en",
        language_name="English",
        pii=[["mail", 0, 5]],
        **zeros,
    )
    page = member("moderator").get(url(one)).content.decode()
    for words in (
        "Alpha again",
        "Beta says",
        "red at dusk",
        "look at this",
        "timeout",
        "tokens in",
        "nobody has looked",
    ):
        assert words in page, words
    assert '<mark title="mail">Alpha</mark> says' in page and "personal: mail" in page
    assert page.count('class="exchange"') == 2
    assert '<details class="reveal" id="reveal"><summary>' in page


def test_text_is_blurred_until_it_is_revealed() -> None:
    page = member("moderator").get(url(battle())).content.decode()
    bare = re.sub(r'<(\w+) class="secret[^"]*"[^>]*>.*?</\1>', "", page, flags=re.DOTALL)
    assert "Alpha says" in page and "Alpha says" not in bare


def test_an_operator_sees_how_it_went_and_not_a_word_of_it() -> None:
    one = battle()
    page = member("operator").get(url(one)).content.decode()
    assert "Alpha says" not in page and "Why is the sky" not in page
    assert "may not read" in page and "tokens in" in page and "the model ended" in page


def test_an_analyst_sees_no_battle() -> None:
    client = member("analyst")
    assert client.get(url(battle())).status_code == 403
    assert client.get(reverse("admin:arena_battle_changelist")).status_code == 403


def test_the_page_leads_to_the_visitors_other_battles_and_to_the_ban() -> None:
    visitor = factories.visitor()
    one, _two = factories.ready(visitor), factories.ready(visitor)
    factories.ready()
    client = member("moderator")
    page = client.get(url(one)).content.decode()
    assert "1 other battle" in page
    theirs = re.search(r'href="([^"]+visitor__id__exact=[^"]+)"', page).group(1)  # type: ignore[union-attr]
    assert len(client.get(theirs).context["cl"].result_list) == 2
    assert f"{reverse('admin:arena_ban_add')}?battle={one.pk}" in page
    bans.ban_visitor(visitor, None, "Flood")
    page = client.get(url(one)).content.decode()
    assert "banned" in page and "Flood" in page
    assert f"{reverse('admin:arena_ban_changelist')}?visitor__id__exact={visitor.pk}" in page


def test_search_finds_whole_ids_of_battles_and_visitors() -> None:
    one, _other = battle(), battle()
    client = member("moderator")
    listing = reverse("admin:arena_battle_changelist")
    for term, found in ((str(one.pk), 1), (f" {one.visitor_id} ", 1), (str(one.pk)[:8], 0), ("' OR 1=1", 0), ("", 2)):
        assert len(client.get(listing, {"q": term}).context["cl"].result_list) == found, term


def test_an_operator_takes_an_unvoted_battle_out() -> None:
    one, client = battle(), member("operator")
    assert "Take this battle out" in client.get(url(one)).content.decode()
    page = client.post(url(one, "void"), {"reason": "our own test"}, follow=True).content.decode()
    one.refresh_from_db()
    assert (one.state, one.void_reason) == ("void", "flagged")
    assert "out of the ranking" in page and "Take this battle out" not in page
    entry = AuditEntry.objects.get(action="void")
    assert (entry.actor_name, entry.reason) == ("operator", "our own test")
    again = client.post(url(one, "void"), {"reason": "again"}, follow=True).content.decode()
    assert "out of the ranking already" in again and AuditEntry.objects.filter(action="void").count() == 1


def test_an_operator_takes_a_vote_and_then_all_of_a_visitor_out() -> None:
    visitor, client = factories.visitor(), member("operator")
    voted = [factories.ready(visitor) for _ in range(3)]
    for one in voted:
        cast_vote(one.pk, "a", 1)
    client.post(url(voted[0], "void"), {"reason": "bought"})
    assert "taken out of the ranking" in client.get(url(voted[0])).content.decode()
    page = client.post(url(voted[0], "void_votes"), {"reason": "all bought"}, follow=True).content.decode()
    assert "2 votes are out of the ranking" in page
    assert VoteEvent.objects.filter(kind="void").count() == Vote.objects.filter(visitor=visitor).count() == 3


@pytest.mark.parametrize("verb", ["void", "void_votes"])
def test_who_may_not_and_what_makes_no_sense(verb: str) -> None:
    one = battle()
    cast_vote(one.pk, "a", 1)
    for client in (member("moderator"), member("analyst")):
        assert client.post(url(one, verb), {"reason": "r"}).status_code == 403
    operator = member("operator")
    assert operator.get(url(one, verb)).status_code == 403
    assert operator.post(url(one, verb), {"reason": ""}).status_code == 302
    assert operator.post(reverse(f"admin:arena_battle_{verb}", args=[uuid4()]), {"reason": "r"}).status_code == 404
    assert Client().post(url(one, verb), {"reason": "r"}).status_code == 302
    assert not VoteEvent.objects.filter(kind="void").exists()
    page = member("moderator", "mo").get(url(one)).content.decode()
    assert "out of the ranking" not in page


def test_a_battle_without_visitor_vote_or_text_opens() -> None:
    one = battle()
    Battle.objects.filter(pk=one.pk).update(visitor=None, consent=None)
    page = member("moderator").get(url(one))
    assert page.status_code == 200 and "deleted, or nobody" in page.content.decode()
    assert member("operator").get(reverse("admin:arena_battle_change", args=[uuid4()])).status_code == 302


def test_verdicts_and_records_show(valkey: object) -> None:
    one = battle()
    decisions.block_battle(one, User.objects.create_user("ada"), "a threat")
    page = member("moderator").get(url(one)).content.decode()
    assert page.count("blocked by a moderator") >= 4 and "a threat" in page and "ada" in page


def test_the_page_costs_a_fixed_number_of_queries(valkey: object, settings, django_assert_max_num_queries) -> None:
    settings.LIMIT_VISITOR_BURST = 100
    one, client = battle(), member("moderator")
    client.get(url(one))
    for number in range(2, 8):
        battles.send(one, f"Go on, {number}", uuid4(), "g")
        factories.finish(Turn.objects.get(battle=one, number=number))
        one.refresh_from_db()
    with django_assert_max_num_queries(28):
        client.get(url(one))


def test_voiding_here_is_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[object, str, str]] = []

    def verb(visitor: object, actor: object, reason: str) -> int:
        called.append((visitor, str(actor), reason))
        return 5

    monkeypatch.setattr(voiding, "void_votes_of", verb)
    one = battle()
    member("operator").post(url(one, "void_votes"), {"reason": "r"})
    assert called == [(one.visitor, "operator", "r")]


def test_what_was_withdrawn_is_not_said_to_be_publishable() -> None:
    one = battle()
    terms = pages.current(pages.TERMS)
    Battle.objects.filter(pk=one.pk).update(
        consent=Consent.objects.create(visitor=one.visitor, terms=terms, publish=True)
    )
    assert "may be published" in member("moderator").get(url(one)).content.decode()
    Consent.objects.create(visitor=one.visitor, terms=terms, publish=False)
    page = member("moderator", "second").get(url(one)).content.decode()
    assert "stays on this site" in page and "may be published" not in page
