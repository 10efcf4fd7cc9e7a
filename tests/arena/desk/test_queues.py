"""Queues: what is in which, filters, order, bounds, a fixed number of queries."""

import re

import pytest
from django.test import Client

from arena.desk import queues
from arena.models import Battle, Consent, Conversation, Message
from arena.moderation import decisions
from tests import factories
from tests.arena.desk.cases import appeal, battle, enrich, look, moderator, page, report

pytestmark = pytest.mark.django_db


def test_each_queue_holds_what_its_name_says(desk: Client) -> None:
    quiet, bad, reported, wrong = battle(), battle(), battle(), appeal()
    look(bad, "flagged", "threats")
    decisions.pass_battles([reported], None, "ok")
    told = report(reported)
    assert list(queues.waiting()) == [quiet]
    assert list(queues.flagged()) == [bad]
    assert list(queues.QUEUES["reports"].rows()) == [told]
    assert list(queues.QUEUES["appeals"].rows()) == [wrong]
    assert list(queues.blocked()) == [wrong.block]
    home = desk.get("/desk/").content.decode()
    assert re.findall(r'class="count">([^<]+)<', home) == ["1", "1", "1", "1", "1"]
    assert "<b>4</b> wait for a decision" in home


def test_what_cannot_leave_or_is_not_finished_does_not_wait() -> None:
    factories.started()  # still being written
    demo, erased, replaced = battle(), battle(), battle()
    Battle.objects.filter(pk=demo.pk).update(origin="demo")
    Conversation.objects.filter(battle_as_a=erased).update(erased_at=erased.created_at)
    Conversation.objects.filter(battle_as_b=erased).update(erased_at=erased.created_at)
    Battle.objects.filter(pk=replaced.pk).update(successor=battle())
    assert queues.waiting().count() == 1


def test_a_blocked_side_needs_no_second_decision() -> None:
    one = battle()
    look(one, "flagged", side="a")
    decisions.block_battle(one, moderator("bob"), "awful")
    assert not queues.flagged().exists() and not queues.waiting().exists()


def test_what_may_be_published_comes_first_and_a_withdrawn_consent_does_not(desk: Client) -> None:
    private, public, withdrawn = battle(), battle(publish=True), battle(publish=True)
    Consent.objects.create(visitor=withdrawn.visitor, terms=withdrawn.consent.terms, publish=False)
    assert list(queues.waiting()) == [public, private, withdrawn]
    assert [one.consented for one in queues.waiting()] == [True, False, False]
    only = page(desk, "waiting", query="?consented=1").content.decode()
    assert str(public.pk) in only and str(private.pk) not in only
    assert "may be published" in page(desk, "waiting", public.pk).content.decode()
    assert "stays on this site" in page(desk, "waiting", withdrawn.pk).content.decode()


def test_a_later_yes_brings_nothing_back_that_a_no_took_away(desk: Client) -> None:
    """As the gate of releases has it: nobody reads for publication what may never be published."""
    one = battle(publish=True)
    for publish in (False, True):
        Consent.objects.create(visitor=one.visitor, terms=one.consent.terms, publish=publish)
    assert [found.consented for found in queues.waiting()] == [False]
    assert "stays on this site" in page(desk, "waiting", one.pk).content.decode()


@pytest.mark.parametrize("query", ["?language=%00", "?category=a%00b"])
def test_a_filter_that_no_text_can_match_is_refused(desk: Client, query: str) -> None:
    assert page(desk, "waiting", query=query).status_code == 400


def test_filters_by_language_and_category(desk: Client) -> None:
    german, threat = battle("Warum?"), battle("Grr")
    for one in (german, threat):
        look(one, "flagged", "threats" if one == threat else "weapons")
    enrich(Message.objects.filter(conversation=german.conversation_b).last(), "de")
    enrich(Message.objects.filter(conversation=threat.conversation_a).last(), "en")

    def shown(query: str) -> set[str]:
        found = page(desk, "flagged", query=query)
        assert found.status_code == 200
        return set(re.findall(r'href="/desk/flagged/([0-9a-f-]{36})/', found.content.decode()))

    assert shown("") == {str(german.pk), str(threat.pk)}
    assert shown("?language=de") == {str(german.pk)}
    assert shown("?category=threats") == {str(threat.pk)}
    assert shown("?language=de&category=threats") == set()
    assert "Nothing matches these filters" in page(desk, "flagged", query="?language=xx").content.decode()
    assert shown("?language=" + "x" * 5000 + "&page=zzz") == set()


def test_an_empty_desk_says_so(desk: Client) -> None:
    assert "Nothing waits for a decision." in desk.get("/desk/").content.decode()
    for slug in queues.QUEUES:
        assert "Nothing waits here" in page(desk, slug).content.decode()


def test_long_queues_are_counted_to_a_bound(desk: Client, monkeypatch: pytest.MonkeyPatch, settings) -> None:
    monkeypatch.setattr(queues, "COUNT_MOST", 2)
    settings.DESK_PAGE = 2
    for _ in range(5):
        battle()
    assert queues.QUEUES["waiting"].count == 3 and queues.figures().more
    shown = page(desk, "waiting").content.decode()
    assert "<b>2</b> or more" in shown and "<b>3+</b>" in desk.get("/desk/").content.decode()
    assert len(re.findall(r"data-row", shown)) == 2
    assert page(desk, "waiting", query="?page=99").status_code == 200


def test_a_list_costs_a_fixed_number_of_queries(desk: Client, django_assert_max_num_queries) -> None:
    def fill(n: int) -> None:
        for _ in range(n):
            one = battle(publish=True)
            message = look(one, "flagged", "threats")
            enrich(message, "de", [["mail", 0, 2]])
            report(one)
            appeal()

    fill(2)
    for slug in queues.QUEUES:
        page(desk, slug)  # content types and the like are cached now
    fill(12)
    for slug in queues.QUEUES:
        with django_assert_max_num_queries(28):
            page(desk, slug)
    with django_assert_max_num_queries(16):
        desk.get("/desk/")
