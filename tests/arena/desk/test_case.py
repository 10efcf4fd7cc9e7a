"""A case: what is shown of it, decisions, conflicts with colleagues, and what decides nothing."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from arena import battles
from arena.desk import queues
from arena.models import AuditEntry, Message, ModerationRecord, Report, Turn
from tests import factories
from tests.arena.desk.cases import appeal, battle, decide, enrich, look, moderator, page, report, seen, verdict_of

pytestmark = pytest.mark.django_db


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
