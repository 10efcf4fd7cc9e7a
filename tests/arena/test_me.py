"""/me: what is held is shown, publishing is withdrawn and allowed, and deletion takes two steps."""

import re
from datetime import timedelta

import pytest
from django.utils.translation import override

from arena import appeals, battles, clock, consent, limits, pages, visitors
from arena.errors import Refused
from arena.models import Appeal, Battle, Consent, GateBlock, Message, Report, Turn, Visitor
from arena.models.moderation import Decision
from datasets.models import Release, ReleasedConversation
from tests import factories
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def body(response) -> str:
    return response.content.decode()


@pytest.fixture
def person() -> Person:
    return Person()


def release(name: str, *battles_in: Battle, state: str = "published") -> None:
    recalled = clock.now() if state == "recalled" else None
    made = Release.objects.create(
        name=name, state=state, policy="1", licence="CC", published_at=clock.now(), recalled_at=recalled
    )
    for battle in battles_in:
        ReleasedConversation.objects.create(release=made, conversation=battle.conversation_a, public_id=battle.pk.hex)


# --- What is shown ------------------------------------------------------------------------------------------------------


def test_a_stranger_is_told_that_nothing_is_held_and_leaves_no_row() -> None:
    stranger = Person(agreed=False)
    page = body(stranger.get("/me/data/"))
    assert "nothing is stored about it" in page and 'name="code"' in page
    assert "/me/delete/" not in page and "export" not in page
    assert "recovery code" in body(stranger.get("/me/"))
    assert not Visitor.objects.exists()


@pytest.mark.parametrize("path", ["/me/delete/", "/me/export.json", "/me/export.txt"])
def test_strangers_are_sent_to_the_page_that_says_so(path: str) -> None:
    response = Person(agreed=False).get(path)
    assert (response.status_code, response["Location"]) == (303, "/me/data/")


def test_my_reports_and_appeals_with_their_decisions(person: Person) -> None:
    battle = person.voted()
    report = battles.report(Turn.objects.get(battle=battle).replies.first(), person.visitor, "broken", "cut <b>off</b>")
    block = GateBlock.objects.create(
        visitor=person.visitor, policy="1", category="c", rule="secret-rule", prompt="how to"
    )
    appeals.appeal(block, "I only asked")
    page = body(person.get("/me/data/"))
    assert "broken or empty" in page and "cut &lt;b&gt;off" in page and "how to" in page and "I only asked" in page
    assert page.count("A moderator has not decided yet.") == 2 and "secret-rule" not in page
    Report.objects.filter(pk=report.pk).update(decision=Decision.UPHELD, decided_at=clock.now(), note="internal note")
    page = body(person.get("/me/data/"))
    assert "Acted on" in page and "internal note" not in page
    Appeal.objects.update(decision=Decision.DISMISSED, decided_at=clock.now(), note="because <i>of that</i>")
    page = body(person.get("/me/data/"))
    assert "because &lt;i&gt;of that" in page and f"/appeals/{block.pk}/" in page


def test_nobody_sees_anothers(person: Person) -> None:
    other = Person()
    battles.report(
        Turn.objects.get(battle=other.voted()).replies.first(), other.visitor, "other", "somebody else's words"
    )
    for path in ("/me/", "/me/data/"):
        assert "somebody else" not in body(person.get(path))


def test_my_releases_are_counted(person: Person) -> None:
    mine, second = person.voted(), person.voted()
    release("spring-1", mine, second)
    release("summer-1", mine, state="recalled")
    release("draft-1", mine, state="building")
    release("others-1", Person().voted())
    page = body(person.get("/me/data/"))
    assert re.search(r"spring-1</a>:\s*2 conversations", page) and re.search(r"summer-1</a>:\s*1 conversation<", page)
    assert "draft-1" not in page and "others-1" not in page


def test_the_pages_cost_a_bounded_number_of_queries(person: Person, django_assert_max_num_queries) -> None:
    for _ in range(6):
        battle = person.voted()
        battles.report(Turn.objects.get(battle=battle).replies.first(), person.visitor, "other", "x")
    with django_assert_max_num_queries(14):
        assert person.get("/me/data/").status_code == 200


# --- Publishing ---------------------------------------------------------------------------------------------------------


def test_withdrawing_and_allowing_are_new_records_with_language_and_time(person: Person) -> None:
    before = clock.now()
    person.post("/me/publishing/", publish="1")
    person.raw.cookies["agon_language"] = "de"
    response = person.post("/me/publishing/", publish="0")
    assert (response.status_code, response["Location"]) == (303, "/me/data/")
    rows = list(Consent.objects.filter(visitor=person.visitor).order_by("created_at"))
    assert [(row.publish, row.locale) for row in rows] == [(False, ""), (True, "en"), (False, "de")]
    assert rows[2].created_at >= before and consent.current(person.visitor) == rows[2]


def test_after_a_no_and_a_yes_the_page_says_what_stays_out(person: Person) -> None:
    words = "Battles that you began before your withdrawal"
    for publish in "10":
        person.post("/me/publishing/", publish=publish)
        assert words not in person.get("/me/data/").content.decode()
    person.post("/me/publishing/", publish="1")
    assert words in person.get("/me/data/").content.decode()


def test_withdrawing_twice_is_once(person: Person) -> None:
    for _ in range(2):
        person.post("/me/publishing/", publish="0")
    assert person.visitor.consents.count() == 1


def test_withdrawing_is_no_agreement_to_newer_terms_and_needs_none(person: Person) -> None:
    old = consent.agree(person.visitor, publish=True)
    pages.publish("terms", "Other rules.")
    page = body(person.get("/me/data/"))
    assert "They have changed since" in page and "Withdraw publishing" in page
    assert person.post("/me/publishing/", publish="0").status_code == 303
    newest = consent.newest(person.visitor)
    assert (newest.publish, newest.terms) == (False, old.terms)
    assert consent.current(person.visitor) is None


def test_allowing_needs_the_terms_of_today(person: Person) -> None:
    pages.publish("terms", "Other rules.")
    response = person.post("/me/publishing/", publish="1")
    assert response.status_code == 409 and "The terms have changed" in body(response)
    assert not Consent.objects.filter(publish=True).exists()


def test_using_and_publishing_are_separate_and_publishing_is_never_ticked_for_anybody() -> None:
    for headers in ({}, {"Sec-GPC": "1"}):
        page = body(Person(agreed=False).raw.get("/", headers=headers))
        box = re.search(r'<input type="checkbox" name="publish"[^>]*>', page).group()
        assert "checked" not in box and "required" not in box
        assert ("Your browser asks sites not to pass on data" in page) == bool(headers)


@pytest.mark.parametrize(("ticked", "publish"), [({}, False), ({"publish": "1"}, True)])
def test_with_global_privacy_control_only_an_explicit_tick_counts(ticked: dict[str, str], publish: bool) -> None:
    factories.ring()
    person = Person(agreed=False)
    data = {"prompt": "Hi", "key": "7d9ec5fe-6a6d-4a1e-9a62-3b1c1c7f0a11", "agree_terms": "1"} | ticked
    data["csrfmiddlewaretoken"] = person.token
    assert person.raw.post("/battles/", data, headers={"Sec-GPC": "1"}).status_code == 303
    assert Consent.objects.get().publish is publish


def test_new_terms_are_asked_for_and_the_battle_keeps_what_it_began_under(person: Person) -> None:
    first = person.ready()
    pages.publish("terms", "Other rules.")
    assert person.start().status_code == 403
    with override("de"):
        assert person.start(agree_terms="1", publish="1").status_code == 303
    second = Battle.objects.exclude(pk=first.pk).get()
    first.refresh_from_db()
    assert first.consent.terms.number + 1 == second.consent.terms.number
    assert (first.consent.publish, second.consent.publish) == (False, True)


# --- Deletion -----------------------------------------------------------------------------------------------------------


def test_deletion_takes_a_tick_and_then_everything_is_gone(person: Person) -> None:
    battle = person.voted()
    token = battles.share(battle)
    confirm = body(person.get("/me/delete/"))
    assert "What goes" in confirm and "What stays" in confirm and 'name="sure"' in confirm
    unsure = person.post("/me/delete/")
    assert unsure.status_code == 400 and "Nothing was deleted" in body(unsure)
    assert Battle.objects.filter(visitor=person.visitor).exists()
    response = person.post("/me/delete/", sure="1")
    assert (response.status_code, response["Location"]) == (303, "/me/deleted/")
    assert response.cookies[visitors.COOKIE]["max-age"] == 0
    assert "Your data is deleted" in body(person.get("/me/deleted/"))
    assert not Visitor.objects.exists() and set(Message.objects.values_list("text", flat=True)) == {""}
    assert person.get(url(battle)).status_code == 404 and person.get(f"/s/{token}/").status_code == 404
    assert person.get("/me/").status_code == 200


def test_a_deletion_that_cannot_be_done_now_says_that_nothing_was_deleted(person: Person, monkeypatch) -> None:
    from arena import erasure

    def busy(_visitor: Visitor) -> int:
        raise Refused(503, "busy", "Nothing was deleted.", retry_after=5)

    monkeypatch.setattr(erasure, "erase", busy)
    response = person.post("/me/delete/", sure="1")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert "Nothing was deleted." in body(response) and visitors.COOKIE not in response.cookies


def test_a_banned_person_keeps_every_right_over_the_data(person: Person) -> None:
    from arena import bans

    consent.agree(person.visitor, publish=True)
    bans.ban_visitor(person.visitor, None, "Flood", clock.now() + timedelta(days=1))
    assert person.get("/me/").status_code == person.get("/me/data/").status_code == 200
    assert person.post("/me/publishing/", publish="0").status_code == 303
    assert person.post("/me/delete/", sure="1").status_code == 303
    assert limits and not Visitor.objects.exists()
