"""A moderator's decisions: on every message of both sides, race-safe, on the record, and refused when a colleague was first."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection

from arena import battles
from arena.desk import deciding
from arena.errors import Refused
from arena.ids import uuid4
from arena.models import AuditEntry, Battle, Message, ModerationRecord, Visitor
from arena.models.conversations import Verdict
from arena.models.moderation import Standing
from arena.moderation import decisions, policy, verdicts
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


@pytest.fixture
def ada() -> User:
    return User.objects.create(username="ada")


def stored(battle: Battle) -> set[str]:
    battle = Battle.objects.get(pk=battle.pk)
    return {battle.conversation_a.verdict, battle.conversation_b.verdict}


def test_passing_writes_a_record_on_every_message_of_both_sides(ada: User) -> None:
    one, other = factories.ready(), factories.ready()
    assert decisions.pass_battles([one, other.pk], ada, " Read both. ") == 2
    records = ModerationRecord.objects.all()
    assert records.count() == 8
    assert {(r.backend, r.standing, r.moderator, r.reason, r.policy) for r in records} == {
        ("human", Standing.HUMAN_PASSED, ada, "Read both.", policy.load().version)
    }
    assert all(r.text_sha256 == verdicts.text_sha256(r.message.text) for r in records)
    assert stored(one) == stored(other) == {Verdict.PASSED}
    entries = AuditEntry.objects.filter(action="pass")
    assert {entry.subject for entry in entries} == {str(one.pk), str(other.pk)}
    assert {(entry.actor_name, entry.reason) for entry in entries} == {("ada", "Read both.")}


def test_blocking_names_a_category_and_wins_over_a_pass(ada: User) -> None:
    battle = factories.ready()
    decisions.pass_battles([battle], ada)
    decisions.block_battle(battle, ada, "Names a neighbour", "harassment")
    assert stored(battle) == {Verdict.BLOCKED}
    newest = decisions.newest(battle)
    assert newest is not None and newest.categories == ["harassment"]
    decisions.pass_battles([battle], ada, "It was a public figure")
    assert stored(battle) == {Verdict.PASSED}


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_block_needs_a_reason(ada: User, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        decisions.block_battle(factories.ready(), ada, reason)
    assert refused.value.status == 400
    assert not ModerationRecord.objects.exists() and not AuditEntry.objects.exists()


def test_whoever_looked_before_a_colleague_decided_is_told_who_did(ada: User) -> None:
    battle = factories.ready()
    looked = deciding.marks([battle])[battle.pk]
    bob = User.objects.create(username="bob")
    deciding.decide(battle, bob, deciding.BLOCK, "Bad", looked)
    with pytest.raises(Refused, match="bob decided this at .*blocked by a moderator") as refused:
        deciding.decide(battle, ada, deciding.PASS, "", looked)
    assert refused.value.status == 409
    assert stored(battle) == {Verdict.BLOCKED}
    deciding.decide(battle, ada, deciding.PASS, "", deciding.marks([battle])[battle.pk])
    assert stored(battle) == {Verdict.PASSED}


def test_all_of_a_call_are_passed_or_none(ada: User) -> None:
    done, writing = factories.ready(), factories.started().battle
    with pytest.raises(Refused):
        decisions.pass_battles([done, writing], ada)
    assert stored(done) == {Verdict.PENDING}


def test_what_is_being_written_is_not_passed_but_can_be_blocked(ada: User) -> None:
    turn = factories.started()
    with pytest.raises(Refused) as refused:
        decisions.pass_battles([turn.battle], ada)
    assert (refused.value.status, refused.value.code) == (409, "writing")
    decisions.block_battle(turn.battle, ada, "Bad prompt")
    factories.finish(turn)
    verdicts.settle([turn.battle.conversation_a_id])
    assert Verdict.BLOCKED in stored(turn.battle)


def test_a_turn_after_the_reveal_is_not_passed_while_it_is_written(ada: User) -> None:
    battle = factories.ready()
    Battle.objects.filter(pk=battle.pk).update(state="voted", voted_at=battle.created_at)
    battle = Battle.objects.select_related("visitor").get(pk=battle.pk)
    battles.send(battle, "Go on", uuid4(), "g")
    with pytest.raises(Refused, match="being written"):
        decisions.pass_battles([battle], ada)


def test_a_new_turn_after_a_pass_is_not_covered_by_it(ada: User) -> None:
    battle = factories.ready()
    decisions.pass_battles([battle], ada)
    turn = battles.send(Battle.objects.select_related("visitor").get(pk=battle.pk), "Go on", uuid4(), "g")
    factories.finish(turn)
    verdicts.settle([battle.conversation_a_id, battle.conversation_b_id])
    assert stored(battle) == {Verdict.PENDING}


def test_bounds(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused) as refused:
        decisions.pass_battles([uuid4()], ada)
    assert refused.value.status == 410
    monkeypatch.setattr(decisions, "MOST", 1)
    with pytest.raises(Refused) as refused:
        decisions.pass_battles([factories.ready(), factories.ready()], ada)
    assert refused.value.status == 400
    assert decisions.pass_battles([], ada) == 0


@pytest.mark.django_db(transaction=True)
def test_of_a_pass_and_a_new_turn_at_once_neither_slips_through() -> None:
    """Whatever comes first: a conversation with an unread message is never passed."""
    ada = User.objects.create(username="ada")
    visitor = Visitor.objects.create()
    made = [factories.ready(visitor) for _ in range(3)]

    def send(battle: Battle) -> None:
        try:
            battles.send(Battle.objects.select_related("visitor").get(pk=battle.pk), "Go on", uuid4(), "g")
        finally:
            connection.close()

    def give(battle: Battle) -> None:
        try:
            decisions.pass_battles([battle], ada)
        except Refused:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        for work in [pool.submit(verb, battle) for battle in made for verb in (give, send)]:
            work.result()
    for battle in made:
        sides = [battle.conversation_a_id, battle.conversation_b_id]
        verdicts.settle(sides)
        unread = Message.objects.filter(conversation__in=sides, moderation__isnull=True)
        assert unread.exists() and Verdict.PASSED not in stored(battle)


@pytest.mark.django_db(transaction=True)
def test_two_moderators_at_once_only_one_decides() -> None:
    battle = factories.ready()
    looked = deciding.marks([battle])[battle.pk]
    people = [User.objects.create(username=name) for name in ("ada", "bob", "eve")]

    def give(person: User) -> bool:
        try:
            deciding.decide(battle, person, deciding.PASS, "", looked)
        except Refused:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(give, people)) == 1
