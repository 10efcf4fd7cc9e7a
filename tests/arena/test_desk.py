"""The moderation desk: queues, cases, decisions, conflicts, bulk, filters; who may see it; a bounded number of queries."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from arena import appeals, battles
from arena.desk import deciding, queues
from arena.models import (
    Appeal,
    AuditEntry,
    Battle,
    Consent,
    Conversation,
    Enrichment,
    GateBlock,
    Message,
    ModerationRecord,
    Report,
    Turn,
    Visitor,
)
from arena.moderation import decisions, verdicts
from arena.votes import cast_vote
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_limits(valkey: object, settings) -> None:
    settings.LIMIT_PREFIX_BURST = settings.LIMIT_VISITOR_BURST = 10_000


@pytest.fixture
def ada() -> User:
    """A moderator."""
    return moderator("ada")


@pytest.fixture
def desk(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def moderator(name: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name="moderator"))
    return user


def battle(prompt: str = "Why is the sky blue?", publish: bool = False, **outcomes: object) -> Battle:
    visitor = factories.visitor()
    factories.consent(visitor, publish=publish)
    return factories.finish(factories.started(visitor, prompt), **outcomes)


def look(of: Battle, standing: str = "flagged", *categories: str, side: str = "a", position: int = 1) -> Message:
    """A backend's record on one message, and the verdicts that follow."""
    message = Message.objects.get(conversation=of.conversation_id(side), position=position)
    ModerationRecord.objects.create(
        message=message,
        text_sha256=verdicts.text_sha256(message.text),
        backend="rules",
        policy=verdicts.current_policy(),
        standing=standing,
        categories=list(categories),
    )
    verdicts.settle([of.conversation_id(side)])
    return message


def enrich(message: Message, language: str = "de", pii: list | None = None) -> None:
    Enrichment.objects.update_or_create(
        message=message,
        defaults={
            "version": "1",
            "text_sha256": verdicts.text_sha256(message.text),
            "language": language,
            "language_name": "German" if language == "de" else language,
            "language_confidence": 0.9,
            "fingerprint": "f",
            "simhash": 1,
            "pii": pii or [],
            **dict.fromkeys(("chars", "words", "headers", "lists", "bold"), 1),
        },
    )


def report(of: Battle, text: str = "look at this") -> Report:
    reply = Turn.objects.get(battle=of, number=1).replies.get(side="a")
    return battles.report(reply, of.visitor, "harmful", text)


def appeal(text: str = "it was a recipe") -> Appeal:
    block = GateBlock.objects.create(
        visitor=factories.visitor(), policy="1", category="weapons", rule="weapons.bomb", prompt="bath bomb recipe"
    )
    return appeals.appeal(block, text)


def page(client: Client, slug: str, pk: object = "", query: str = "") -> HttpResponse:
    return client.get(f"/desk/{slug}/{f'{pk}/' if pk else ''}{query}")


def seen(client: Client, slug: str, pk: object) -> str:
    return re.search(r'name="seen" value="([^"]*)"', page(client, slug, pk).content.decode()).group(1)  # type: ignore[union-attr]


def decide(
    client: Client, slug: str, pk: object, verdict: str, reason: str = "", mark: str | None = None
) -> HttpResponse:
    mark = seen(client, slug, pk) if mark is None else mark
    return client.post(f"/desk/{slug}/{pk}/decide/", {"verdict": verdict, "reason": reason, "seen": mark})


def verdict_of(one: Battle) -> set[str]:
    sides = Conversation.objects.filter(pk__in=[one.conversation_a_id, one.conversation_b_id])
    return set(sides.values_list("verdict", flat=True))


# --- who may --------------------------------------------------------------------------------------------------------------


def addresses() -> list[str]:
    one = battle()
    return ["/desk/", "/desk/reports/", "/desk/waiting/", f"/desk/waiting/{one.pk}/", f"/desk/appeals/{appeal().pk}/"]


def test_strangers_are_sent_to_the_sign_in_and_back() -> None:
    for url in addresses():
        answer = Client().get(url)
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={url}")
    one = battle()
    assert Client().post(f"/desk/waiting/{one.pk}/decide/", {"verdict": "pass"}).status_code == 302
    assert verdict_of(one) == {"pending"}


@pytest.mark.parametrize("group", ["operator", "analyst", ""])
def test_staff_without_the_right_is_refused(group: str) -> None:
    user = User.objects.create_user("o", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    one = battle()
    for url in addresses():
        assert client.get(url).status_code == 403, url
    assert client.post(f"/desk/waiting/{one.pk}/decide/", {"verdict": "pass"}).status_code == 403
    assert client.post("/desk/waiting/pass/", {"chosen": f"{one.pk}:.", "reason": "r"}).status_code == 403
    assert verdict_of(one) == {"pending"}


def test_a_right_without_being_staff_opens_nothing() -> None:
    user = User.objects.create_user("o")
    user.user_permissions.add(Permission.objects.get(codename="moderate"))
    client = Client()
    client.force_login(user)
    refused = client.get("/desk/")
    assert refused.status_code == 403
    assert "This account has no right to this page." in refused.content.decode()


def test_wrong_addresses_and_methods(desk: Client) -> None:
    assert desk.get("/desk/nonsense/").status_code == 404
    assert desk.get(f"/desk/waiting/{uuid4()}/").status_code == 404
    assert desk.get("/desk/waiting/no-uuid/").status_code == 404
    assert desk.get(f"/desk/waiting/{uuid4()}/decide/").status_code == 405
    assert desk.post("/desk/waiting/").status_code == 405
    assert desk.post("/desk/reports/pass/", {"chosen": "x"}).status_code == 404
    block = appeal().block
    assert desk.post(f"/desk/blocked/{block.pk}/decide/", {"verdict": "pass"}).status_code == 404


def test_forms_need_a_token(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert client.post(f"/desk/waiting/{battle().pk}/decide/", {"verdict": "pass"}).status_code == 403


# --- queues ---------------------------------------------------------------------------------------------------------------


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


# --- a case ---------------------------------------------------------------------------------------------------------------


def test_a_case_shows_both_sides_records_marks_and_reports(desk: Client) -> None:
    one = battle("Write to <eve@example.org>", a=factories.outcome("Alpha says"), b=factories.outcome("Beta says"))
    message = look(one, "flagged", "threats")
    enrich(Message.objects.get(conversation=one.conversation_a, position=0), "de", [["email", 10, 25]])
    report(one, "<script>alert(1)</script>")
    shown = page(desk, "flagged", one.pk).content.decode()
    assert "Alpha says" in shown and "Beta says" in shown
    assert '&lt;<mark title="email">eve@example.org</mark>&gt;' in shown
    assert "personal: email" in shown and "German" in shown
    assert f"policy {message.moderation.get().policy}" in shown and "threats" in shown
    assert "harmful or illegal" in shown and "&lt;script&gt;alert(1)" in shown and "<script>alert" not in shown
    assert str(one.revision_a.contestant) not in shown, "a moderator judges words, not models"


def test_text_stands_behind_a_reveal_that_works_without_scripts(desk: Client) -> None:
    one = battle("A secret prompt", a=factories.outcome("Alpha says"))
    report(one, "complaint text")
    for slug, pk in (("waiting", one.pk), ("reports", Report.objects.get().pk), ("appeals", appeal("my words").pk)):
        shown = page(desk, slug, pk).content.decode()
        assert '<details class="reveal" id="reveal"><summary>' in shown
        bare = re.sub(r'<(\w+) class="secret[^"]*"[^>]*>.*?</\1>', "", shown, flags=re.DOTALL)
        of_battle = ["A secret prompt", "Alpha says", "complaint text"]
        for words in ["bath bomb recipe", "my words"] if slug == "appeals" else of_battle:
            assert words in shown and words not in bare, (slug, words)
    for slug in queues.QUEUES:
        shown = page(desk, slug).content.decode()
        bare = re.sub(r'<(\w+) class="secret[^"]*"[^>]*>.*?</\1>', "", shown, flags=re.DOTALL)
        assert "A secret prompt" not in bare and "bath bomb" not in bare


def test_a_case_costs_a_fixed_number_of_queries(desk: Client, django_assert_max_num_queries) -> None:
    one = battle()
    page(desk, "waiting", one.pk)
    for number in range(2, 7):
        battles.send(one, f"Go on, {number}", uuid4(), "g")
        factories.finish(Turn.objects.get(battle=one, number=number))
        look(one, "pending", position=2 * number - 1)
        one.refresh_from_db()
    with django_assert_max_num_queries(24):
        shown = page(desk, "waiting", one.pk).content.decode()
    assert shown.count('class="exchange"') == 6


def test_pass_and_the_next_case_opens(desk: Client, ada: User) -> None:
    first, second = battle(), battle()
    answer = decide(desk, "waiting", first.pk, "pass", "harmless")
    assert (answer.status_code, answer["Location"]) == (303, f"/desk/waiting/{second.pk}/")
    assert verdict_of(first) == {"passed"}
    records = ModerationRecord.objects.filter(backend="human")
    assert records.count() == 4 and set(records.values_list("moderator", "reason")) == {(ada.pk, "harmless")}
    assert AuditEntry.objects.filter(actor=ada, action="pass", subject=str(first.pk)).exists()
    assert "Decided. This is the next one." in desk.get(answer["Location"]).content.decode()
    last = decide(desk, "waiting", second.pk, "pass")
    assert last["Location"] == "/desk/waiting/"
    assert "<b>2</b> decisions today" in desk.get("/desk/").content.decode()


def test_filters_stay_while_one_works(desk: Client) -> None:
    first, other, second = battle(publish=True), battle(), battle(publish=True)
    shown = page(desk, "waiting", first.pk, "?consented=1").content.decode()
    assert f'href="/desk/waiting/{second.pk}/?consented=1"' in shown and str(other.pk) not in shown
    answer = desk.post(
        f"/desk/waiting/{first.pk}/decide/?consented=1", {"verdict": "pass", "seen": seen(desk, "waiting", first.pk)}
    )
    assert answer["Location"] == f"/desk/waiting/{second.pk}/?consented=1"


def test_block_wants_a_reason_and_keeps_what_was_typed(desk: Client) -> None:
    one = battle()
    refused = decide(desk, "waiting", one.pk, "block", "  ")
    assert refused.status_code == 400 and b"Say why" in refused.content
    assert verdict_of(one) == {"pending"}
    refused = decide(desk, "waiting", one.pk, "", 'typed "already"')
    assert refused.status_code == 400 and b"typed &quot;already&quot;" in refused.content
    assert decide(desk, "waiting", one.pk, "block", "a threat").status_code == 303
    assert verdict_of(one) == {"blocked"}
    assert decide(desk, "waiting", one.pk, "pass", "nul \x00").status_code == 400


def test_a_colleague_was_first(desk: Client) -> None:
    one = battle()
    mine = seen(desk, "waiting", one.pk)
    bob = Client()
    bob.force_login(moderator("bob"))
    assert decide(bob, "waiting", one.pk, "block", "a threat").status_code == 303
    refused = decide(desk, "waiting", one.pk, "pass", "harmless", mark=mine)
    assert refused.status_code == 409
    assert re.search(r"bob decided this at [\d-]+ [\d:]+: blocked by a moderator\.", refused.content.decode())
    assert verdict_of(one) == {"blocked"}
    assert "harmless" in refused.content.decode(), "what was typed is still there"
    assert decide(desk, "waiting", one.pk, "pass", "talked it over").status_code == 303, "after looking again one may"
    assert verdict_of(one) == {"passed"}


def test_nobody_passes_what_was_added_after_they_looked(desk: Client) -> None:
    one = battle()
    mine = seen(desk, "waiting", one.pk)
    battles.send(one, "And now something awful", uuid4(), "g")
    factories.finish(Turn.objects.get(battle=one, number=2))
    refused = decide(desk, "waiting", one.pk, "pass", mark=mine)
    assert refused.status_code == 409 and b"went on while you read it" in refused.content
    assert verdict_of(one) == {"pending"} and b"something awful" in refused.content


@pytest.mark.parametrize("mark", ["", ".", "x" * 9000, "<b>"])
def test_a_forged_mark_decides_nothing(desk: Client, mark: str) -> None:
    one = battle()
    assert decide(desk, "waiting", one.pk, "pass", mark=mark).status_code == 409
    assert verdict_of(one) == {"pending"}


def test_a_broken_rule_file_decides_nothing_and_says_so(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from arena.moderation.policy import PolicyError

    one = battle()

    def broken() -> str:
        raise PolicyError("rule 3")

    monkeypatch.setattr("arena.moderation.verdicts.current_policy", broken)
    assert "unknown: the rule file is broken" in page(desk, "waiting", one.pk).content.decode()


# --- complaints -----------------------------------------------------------------------------------------------------------


def test_a_report_is_dismissed_upheld_or_upheld_with_a_block(desk: Client) -> None:
    quiet, kept, bad = (report(battle()) for _ in range(3))
    answer = decide(desk, "reports", quiet.pk, "leave")
    assert answer["Location"] == f"/desk/reports/{kept.pk}/"
    assert decide(desk, "reports", kept.pk, "act", "rude, but allowed").status_code == 303
    assert decide(desk, "reports", bad.pk, "act_and_block", "a threat")["Location"] == "/desk/reports/"
    assert [Report.objects.get(pk=one.pk).decision for one in (quiet, kept, bad)] == ["dismissed", "upheld", "upheld"]
    assert [verdict_of(one.reply.turn.battle) for one in (kept, bad)] == [{"pending"}, {"blocked"}]
    shown = page(desk, "reports", bad.pk).content.decode()
    assert "Decided by ada: acted on" in shown and 'class="decide"' not in shown


def test_a_report_that_a_colleague_decided_is_a_conflict(desk: Client) -> None:
    one = report(battle())
    bob = Client()
    bob.force_login(moderator("bob"))
    decide(bob, "reports", one.pk, "leave")
    refused = desk.post(f"/desk/reports/{one.pk}/decide/", {"verdict": "act_and_block", "reason": "x"})
    assert refused.status_code == 409 and b"bob decided this at" in refused.content
    assert verdict_of(one.reply.turn.battle) == {"pending"}


def test_an_appeal_is_answered_in_words(desk: Client) -> None:
    one = appeal()
    assert desk.post(f"/desk/appeals/{one.pk}/decide/", {"verdict": "act", "reason": ""}).status_code == 400
    answer = desk.post(f"/desk/appeals/{one.pk}/decide/", {"verdict": "act", "reason": "You were right."})
    assert answer.status_code == 303
    one.refresh_from_db()
    assert (one.decision, one.note) == ("upheld", "You were right.")
    shown = page(desk, "blocked", one.block.pk).content.decode()
    assert "rule weapons.bomb, policy 1" in shown and "bath bomb recipe" in shown and 'class="decide"' not in shown


def test_the_person_who_appealed_reads_the_answer(desk: Client) -> None:
    from tests.arena.views_help import Person

    person, other = Person(), Person()
    block = GateBlock.objects.create(visitor=person.visitor, policy="1", category="c", rule="r", prompt="p")
    sent = person.post("/appeals/", block=str(block.pk), text="it was a recipe")
    where = f"/appeals/{block.pk}/"
    assert where in sent.content.decode()
    assert b"waits for a person" in person.get(where).content
    assert other.get(where).status_code == 404 and Client().get(where).status_code == 404
    desk.post(f"/desk/appeals/{Appeal.objects.get().pk}/decide/", {"verdict": "leave", "reason": "It names a target."})
    shown = person.get(where).content.decode()
    assert "It names a target." in shown and "stays blocked" in shown and "ada" not in shown


# --- bulk -----------------------------------------------------------------------------------------------------------------


def chosen(client: Client, slug: str = "waiting", query: str = "") -> list[str]:
    return re.findall(r'name="chosen" value="([^"]+)"', page(client, slug, query=query).content.decode())


def test_many_are_passed_with_one_reason(desk: Client, ada: User) -> None:
    three = [battle() for _ in range(3)]
    left = battle()
    ticked = [value for value in chosen(desk) if not value.startswith(str(left.pk))]
    answer = desk.post("/desk/waiting/pass/?consented=1", {"chosen": ticked, "reason": "read them all"})
    assert (answer.status_code, answer["Location"]) == (303, "/desk/waiting/?consented=1")
    assert [verdict_of(one) for one in (*three, left)] == [{"passed"}] * 3 + [{"pending"}]
    assert AuditEntry.objects.filter(actor=ada, action="pass", reason="read them all").count() == 3
    assert b"3 conversations passed." in desk.get("/desk/waiting/").content


def test_what_changed_since_the_list_was_loaded_is_left_alone_and_said(desk: Client) -> None:
    fine, decided, grown = battle(), battle(), battle()
    ticked = chosen(desk)
    decisions.block_battle(decided, moderator("bob"), "a threat")
    battles.send(grown, "more", uuid4(), "g")
    factories.finish(Turn.objects.get(battle=grown, number=2))
    desk.post("/desk/waiting/pass/", {"chosen": ticked, "reason": "r"})
    assert [verdict_of(one) for one in (fine, decided, grown)] == [{"passed"}, {"blocked"}, {"pending"}]
    shown = desk.get("/desk/waiting/").content.decode()
    assert "1 conversation passed." in shown and "2 were decided by colleagues or went on meanwhile" in shown


def test_what_is_being_written_waits_for_its_end(desk: Client) -> None:
    fine, busy = battle(), battle()
    cast_vote(busy.pk, "a", 1)
    busy.refresh_from_db()
    battles.send(busy, "and after the reveal?", uuid4(), "g")
    ticked = chosen(desk)
    assert len(ticked) == 2
    desk.post("/desk/waiting/pass/", {"chosen": ticked, "reason": "r"})
    assert [verdict_of(one) for one in (fine, busy)] == [{"passed"}, {"pending"}]
    assert decide(desk, "waiting", busy.pk, "pass").status_code == 409
    assert decide(desk, "waiting", busy.pk, "block", "a threat").status_code == 303


@pytest.mark.parametrize("category", sorted(deciding.SEVERE))
def test_the_gravest_are_never_passed_in_bulk(desk: Client, category: str) -> None:
    grave, mild = battle(), battle()
    for one, name in ((grave, category), (mild, "violence")):
        look(one, "flagged", name)
    assert [value[:36] for value in chosen(desk, "flagged")] == [str(mild.pk)], "there is no box to tick"
    marks = deciding.marks([grave, mild])
    desk.post("/desk/flagged/pass/", {"chosen": [f"{pk}:{mark}" for pk, mark in marks.items()], "reason": "r"})
    assert verdict_of(mild) == {"passed"} and "flagged" in verdict_of(grave)
    assert b"has to be opened" in desk.get("/desk/flagged/").content
    assert decide(desk, "flagged", grave.pk, "pass", "a biology lesson").status_code == 303


@pytest.mark.parametrize(
    "form",
    [
        {"chosen": [], "reason": "r"},
        {"chosen": ["nonsense"], "reason": "r"},
        {"chosen": [str(uuid4())], "reason": "r"},
        {"chosen": [f"{uuid4()}:." for _ in range(4)], "reason": "r"},
        {"reason": "r"},
    ],
)
def test_bulk_forms_that_make_no_sense(desk: Client, settings, form: dict) -> None:
    settings.DESK_BULK = 3
    one = battle()
    refused = desk.post("/desk/waiting/pass/", form)
    assert refused.status_code == 400 and b'role="alert"' in refused.content
    assert verdict_of(one) == {"pending"}


def test_bulk_wants_a_reason_and_skips_what_is_gone(desk: Client) -> None:
    one = battle()
    ticked = chosen(desk)
    assert desk.post("/desk/waiting/pass/", {"chosen": ticked, "reason": " "}).status_code == 400
    assert desk.post("/desk/waiting/pass/", {"chosen": [*ticked, f"{uuid4()}:."], "reason": "r"}).status_code == 303
    assert verdict_of(one) == {"passed"}


def test_addresses_by_name_exist() -> None:
    assert reverse("desk_case", args=["waiting", uuid4()]).startswith("/desk/waiting/")
    assert Visitor.objects.count() == 0
