"""Leases: two workers never write the same turn, and a dead worker's turn is taken up again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from arena import battles, turns
from arena.clock import now
from arena.generation import sweeper
from arena.models import Battle, Message, Side, Turn
from arena.models.battles import BattleState, ReplyState, TurnState
from tests import factories
from tests.factories import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def expire_lease() -> None:
    Turn.objects.update(lease_until=now() - timedelta(seconds=1))


@pytest.mark.django_db(transaction=True)
def test_only_one_of_many_workers_gets_a_turn() -> None:
    turn = factories.started()

    def take(owner: int) -> bool:
        try:
            return turns.claim(turn.id, f"worker-{owner}") is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(16))) == 1


def test_a_claim_describes_both_sides() -> None:
    turn = factories.started(prompt="Hello")
    brief = turns.claim(turn.id, "w")
    assert set(brief.sides) == {Side.A, Side.B}
    assert brief.visitor_id == turn.battle.visitor_id
    assert brief.sides[Side.A].attempt == 1
    side = brief.sides[Side.A]
    assert side.messages == [{"role": "user", "content": "Hello"}]
    assert side.sampling["max_tokens"] == 64
    assert side.contestant_id == turn.battle.revision_a.contestant_id


def test_the_system_prompt_goes_first() -> None:
    for name in ("One", "Two"):
        factories.contestant(name, system_prompt="Be brief.")
    turn = factories.started(prompt="Hello")
    brief = turns.claim(turn.id, "w")
    assert brief.sides[Side.B].messages[0] == {"role": "system", "content": "Be brief."}


def test_a_held_turn_cannot_be_taken() -> None:
    turn = factories.started()
    assert turns.claim(turn.id, "first")
    assert turns.claim(turn.id, "second") is None


def test_a_dead_workers_turn_is_taken_up_with_a_new_attempt_and_the_same_seed() -> None:
    turn = factories.started()
    first = turns.claim(turn.id, "first")
    expire_lease()
    second = turns.claim(turn.id, "second")
    assert second.sides[Side.A].attempt == first.sides[Side.A].attempt + 1
    assert second.sides[Side.A].seed == first.sides[Side.A].seed


def test_whoever_lost_the_lease_writes_nothing() -> None:
    turn = factories.started()
    turns.claim(turn.id, "first")
    expire_lease()
    turns.claim(turn.id, "second")
    with pytest.raises(turns.LeaseLost):
        turns.finish(turn.id, "first", {Side.A: outcome("ghost"), Side.B: outcome("ghost")})
    assert not Message.objects.filter(text="ghost").exists()
    turns.finish(turn.id, "second", {Side.A: outcome("real"), Side.B: outcome("real")})
    assert Message.objects.filter(text="real").count() == 2


def test_all_leases_of_a_worker_are_renewed_in_one_update(django_assert_num_queries: object) -> None:
    ids = [factories.started().id for _ in range(3)]
    for turn_id in ids[:2]:
        turns.claim(turn_id, "me")
    turns.claim(ids[2], "somebody else")
    expire_lease()
    Turn.objects.filter(pk=ids[1]).update(stop_b=True)
    with django_assert_num_queries(2):  # one UPDATE, one SELECT of what is held
        renewal = turns.renew("me", ids)
    assert renewal.held == set(ids[:2])
    assert renewal.stops == {ids[1]: {Side.B}}
    assert Turn.objects.get(pk=ids[0]).lease_until > now()


def test_a_released_turn_is_free_and_the_claim_does_not_count() -> None:
    turn = factories.started()
    turns.claim(turn.id, "leaving")
    assert turns.release("leaving", [turn.id]) == 1
    turn.refresh_from_db()
    assert turn.claims == 0
    assert turns.claim(turn.id, "next")


def test_finish_closes_turn_battle_and_replies_together() -> None:
    turn = factories.started()
    battle = factories.finish(turn)
    turn.refresh_from_db()
    assert turn.state == TurnState.DONE
    assert turn.lease_owner == ""
    assert battle.state == BattleState.READY
    assert battle.expires_at > now()
    reply = turn.replies.get(side="a")
    assert (reply.state, reply.tokens_out, reply.message.position) == (ReplyState.DONE, 7, 1)


def test_one_failed_side_makes_the_battle_failed() -> None:
    turn = factories.started()
    battle = factories.finish(turn, a=outcome(error="timeout"))
    assert battle.state == BattleState.FAILED
    reply = turn.replies.get(side="a")
    assert (reply.state, reply.error, reply.message) == (ReplyState.FAILED, "timeout", None)


def test_the_sweeper_finds_lost_turns_and_gives_up_on_deadly_ones(settings: object) -> None:
    fresh, lost, deadly = (factories.started().id for _ in range(3))
    Turn.objects.filter(pk=lost).update(created_at=now() - timedelta(minutes=1))
    for _ in range(settings.TURN_CLAIMS):
        assert turns.claim(deadly, "crashing")
        Turn.objects.filter(pk=deadly).update(lease_until=now() - timedelta(seconds=1))
    before = sweeper.queued_messages()
    assert set(sweeper.unclaimed().values_list("pk", flat=True)) == {lost, deadly}
    assert sweeper.sweep() == 2
    assert sweeper.queued_messages() == before + 1  # only the lost one is sent again
    failed = Turn.objects.get(pk=deadly)
    assert failed.state == TurnState.DONE
    assert set(failed.replies.values_list("state", "error")) == {("failed", "crashed")}
    assert Battle.objects.get(pk=failed.battle_id).state == BattleState.FAILED
    assert Turn.objects.get(pk=fresh).state == TurnState.QUEUED


def test_the_sweeper_adds_nothing_to_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = factories.started()
    Turn.objects.update(created_at=now() - timedelta(minutes=1))
    monkeypatch.setattr(sweeper, "MAX_QUEUED_MESSAGES", 0)
    assert sweeper.sweep() == 0
    turn.refresh_from_db()
    assert turn.state == TurnState.QUEUED


def test_waiting_turns_are_found_oldest_first() -> None:
    ids = [factories.started().id for _ in range(3)]
    Turn.objects.filter(pk=ids[2]).update(created_at=now() - timedelta(minutes=1))
    assert sweeper.oldest(2) == [ids[2], ids[0]]


def test_a_turn_whose_battle_was_replaced_is_closed_not_written() -> None:
    factories.ring(4)
    turn = factories.started()
    turns.claim(turn.id, "dies after it has replaced the battle")
    assert battles.replace(turn.battle_id, [])
    expire_lease()
    assert turns.claim(turn.id, "next") is None
    turn.refresh_from_db()
    assert turn.state == TurnState.DONE
    assert set(turn.replies.values_list("error", flat=True)) == {"replaced"}
