"""Reports and appeals are decided once; a colleague who comes second is told who was first."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connections

from arena import appeals, battles, complaints
from arena.errors import Refused
from arena.models import Appeal, AuditEntry, Battle, GateBlock, ModerationRecord, Report, Turn, Visitor
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob", is_staff=True)


def report(by: Visitor | None = None) -> Report:
    battle = factories.ready(by)
    reply = Turn.objects.get(battle=battle).replies.get(side="a")
    return battles.report(reply, battle.visitor, "harmful", "look at this")


def appeal(by: Visitor | None = None) -> Appeal:
    block = GateBlock.objects.create(visitor=by or factories.visitor(), policy="1", category="c", rule="r", prompt="p")
    return appeals.appeal(block, "it was a recipe")


def test_a_decision_is_written_with_who_when_and_why(ada: User) -> None:
    for complaint in (report(), appeal()):
        complaints.decide(complaint, ada, "upheld", "  a fair point ")
        complaint.refresh_from_db()
        assert (complaint.decision, complaint.decided_by, complaint.note) == ("upheld", ada, "a fair point")
        assert complaint.decided_at is not None
        entry = AuditEntry.objects.get(subject=str(complaint.pk))
        assert (entry.action, entry.actor, entry.before, entry.reason) == (
            "decide",
            ada,
            {"decision": ""},
            "a fair point",
        )
        assert entry.after == {"decision": "upheld", "note": "a fair point"}


def test_a_colleague_was_first(ada: User, bob: User) -> None:
    complaint = report()
    complaints.decide(complaint, ada, "dismissed", "harmless")
    with pytest.raises(Refused, match=r"ada decided this at \d{4}-\d\d-\d\d \d\d:\d\d: no action") as refused:
        complaints.decide(complaint, bob, "upheld", "awful", block=True)
    assert (refused.value.status, refused.value.code) == (409, "decided")
    complaint.refresh_from_db()
    assert (complaint.decision, complaint.decided_by) == ("dismissed", ada)
    assert AuditEntry.objects.filter(action="decide").count() == 1
    assert not ModerationRecord.objects.filter(backend="human").exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_decides() -> None:
    complaint = report()
    staff = [User.objects.create_user(f"m{n}", is_staff=True) for n in range(6)]

    def try_it(moderator: User) -> bool:
        try:
            complaints.decide(complaint, moderator, "dismissed", moderator.username)
            return True
        except Refused:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(try_it, staff)) == 1
    assert AuditEntry.objects.filter(action="decide").count() == 1


def test_an_upheld_report_may_block_the_battle(ada: User) -> None:
    complaint = report()
    complaints.decide(complaint, ada, "upheld", "a threat", block=True)
    battle = Battle.objects.get(turns__replies=complaint.reply)
    verdicts = {battle.conversation_a.verdict, battle.conversation_b.verdict}
    assert verdicts == {"blocked"}
    assert AuditEntry.objects.get(action="decide").after["blocked"] is True
    assert set(ModerationRecord.objects.filter(backend="human").values_list("standing", "reason")) == {
        ("human_blocked", "a threat")
    }


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (report, {"decision": "maybe", "note": "n"}),
        (report, {"decision": "", "note": "n"}),
        (report, {"decision": "dismissed", "note": "n", "block": True}),
        (report, {"decision": "upheld", "note": " ", "block": True}),
        (appeal, {"decision": "upheld", "note": "n", "block": True}),
        (appeal, {"decision": "dismissed", "note": ""}),
    ],
)
def test_half_decisions_are_refused_and_write_nothing(ada: User, make, values: dict) -> None:
    complaint = make()
    with pytest.raises(Refused) as refused:
        complaints.decide(complaint, ada, **values)
    assert refused.value.status == 400
    complaint.refresh_from_db()
    assert complaint.decision == "" and not AuditEntry.objects.filter(action="decide").exists()


def test_what_was_deleted_meanwhile_is_said(ada: User) -> None:
    complaint = report()
    Report.objects.all().delete()
    with pytest.raises(Refused) as refused:
        complaints.decide(complaint, ada, "dismissed", "")
    assert refused.value.status == 410


def test_what_a_person_reported_and_appealed_is_theirs_with_the_answer(ada: User) -> None:
    person, other = factories.visitor(), factories.visitor()
    mine, theirs = appeal(person), appeal(other)
    complaints.decide(mine, ada, "upheld", "you were right")
    (shown,) = Appeal.objects.of(person)
    assert (shown.decision, shown.note) == ("upheld", "you were right")
    assert list(Appeal.objects.open()) == [theirs]
    reported = report(person)
    assert list(Report.objects.of(person)) == [reported] and not Report.objects.of(other).exists()
    assert list(Report.objects.open()) == [reported]
