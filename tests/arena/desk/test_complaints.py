"""Reports and appeals are decided once, and whoever appealed reads the answer."""

import pytest
from django.test import Client

from arena.models import Appeal, GateBlock, Report
from tests.arena.desk.cases import appeal, battle, decide, moderator, page, report, verdict_of

pytestmark = pytest.mark.django_db


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
