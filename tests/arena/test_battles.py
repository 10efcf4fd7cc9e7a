"""The verbs of a battle against a real database."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from arena import battles, turns, votes
from arena.clock import now
from arena.errors import Refused
from arena.models import Battle, Message, Report, SiteConfig, Turn, Vote, VoteEvent
from arena.models.battles import BattleState, ReplyState, TurnState, VoidReason
from tests import factories
from tests.factories import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def code(refusal: pytest.ExceptionInfo[Refused]) -> tuple[int, str]:
    return refusal.value.status, refusal.value.code


def test_start_writes_everything_a_worker_needs() -> None:
    turn = factories.started(prompt="Hello there")
    battle = turn.battle
    assert battle.state == BattleState.STREAMING
    assert battle.revision_a_id != battle.revision_b_id
    assert battle.probability == 1.0
    assert battle.consent is not None
    assert [m.text for m in Message.objects.all()] == ["Hello there"] * 2
    seeds = {reply.side: reply.seed for reply in turn.replies.all()}
    assert set(seeds) == {"a", "b"}
    assert seeds["a"] != seeds["b"]


def test_the_same_key_is_the_same_turn() -> None:
    visitor = factories.visitor()
    factories.ring()
    key, consent = uuid4(), factories.consent(visitor)
    first = battles.start(visitor, "Hi", key, consent, "g")
    again = battles.start(visitor, "Hi", key, consent, "g")
    assert first.pk == again.pk
    assert Battle.objects.count() == 1


def test_no_prompt_without_consent() -> None:
    visitor = factories.visitor()
    factories.ring()
    with pytest.raises(Refused) as refusal:
        battles.start(visitor, "Hi", uuid4(), None, "g")
    assert code(refusal) == (403, "consent")
    assert not Battle.objects.exists()


@pytest.mark.parametrize(
    ("prompt", "expected"), [("   \n", (400, "empty")), ("x" * 30_001, (413, "too_long"))], ids=["empty", "too long"]
)
def test_unusable_prompts_are_refused(prompt: str, expected: tuple[int, str]) -> None:
    with pytest.raises(Refused) as refusal:
        factories.started(prompt=prompt)
    assert code(refusal) == expected
    assert not Message.objects.exists()


def test_the_limit_is_said_with_numbers() -> None:
    with pytest.raises(Refused, match="30001 characters; the limit is 30000"):
        factories.started(prompt="x" * 30_001)


def test_one_person_may_not_hide_a_backlog(settings: pytest.FixtureRequest) -> None:
    settings.OPEN_TURNS_PER_VISITOR = 2
    visitor = factories.visitor()
    factories.started(visitor)
    factories.started(visitor)
    with pytest.raises(Refused) as refusal:
        factories.started(visitor)
    assert code(refusal) == (429, "backlog")
    assert refusal.value.retry_after > 0
    factories.started(factories.visitor())  # others are not affected


def test_a_retry_counts_into_the_backlog(settings: pytest.FixtureRequest) -> None:
    visitor = factories.visitor()
    battle = factories.finish(factories.started(visitor), b=outcome(error="timeout"))
    settings.OPEN_TURNS_PER_VISITOR = 1
    factories.started(visitor)
    with pytest.raises(Refused) as refusal:
        battles.retry(battle, "b", "g")
    assert code(refusal) == (429, "backlog")


def test_operators_can_pause_battles() -> None:
    SiteConfig.objects.update_or_create(pk=1, defaults={"battles_paused": True, "pause_message": "Back at noon."})
    with pytest.raises(Refused, match=r"Back at noon\.") as refusal:
        factories.started()
    assert code(refusal) == (503, "paused")


def test_multi_turn_before_the_vote() -> None:
    battle = factories.ready()
    turn = battles.send(battle, "And at night?", uuid4(), "g")
    brief = turns.claim(turn.id, "worker")
    assert [m["content"] for m in brief.sides["a"].messages] == ["Why is the sky blue?", "An answer.", "And at night?"]
    assert Battle.objects.get().state == BattleState.STREAMING


def test_no_turn_while_one_is_open() -> None:
    turn = factories.started()
    with pytest.raises(Refused) as refusal:
        battles.send(turn.battle, "More", uuid4(), "g")
    assert code(refusal) == (409, "turn_open")


def test_turns_are_bounded(settings: pytest.FixtureRequest) -> None:
    settings.MAX_TURNS = 1
    with pytest.raises(Refused) as refusal:
        battles.send(factories.ready(), "More", uuid4(), "g")
    assert code(refusal) == (409, "too_many_turns")


def test_turns_after_the_reveal_are_stored_and_never_ranked() -> None:
    battle = factories.ready()
    votes.cast_vote(battle.pk, "a", 1)
    battle.refresh_from_db()
    turn = battles.send(battle, "Thanks, both", uuid4(), "g")
    battle = factories.finish(turn)
    assert battle.state == BattleState.VOTED
    assert turn.post_reveal
    late = Message.objects.filter(post_reveal=True)
    assert late.count() == 4
    assert VoteEvent.objects.count() == 1


def test_a_failed_side_can_be_retried_with_the_same_seed() -> None:
    turn = factories.started()
    battle = factories.finish(turn, b=outcome(error="server_error"))
    assert battle.state == BattleState.FAILED
    before = turn.replies.get(side="b")
    battles.retry(battle, "b", "g")
    after = turn.replies.get(side="b")
    assert (after.state, after.attempt, after.seed) == (ReplyState.WAITING, before.attempt + 1, before.seed)
    assert turns.claim(turn.id, "w").sides.keys() == {"b"}  # side A keeps its answer


def test_a_retry_of_a_broken_stream_replaces_its_text() -> None:
    turn = factories.started()
    battle = factories.finish(turn, a=outcome("Half an ans", "early"))
    assert battle.state == BattleState.READY  # ended early is votable
    battles.retry(battle, "a", "g")
    assert not Message.objects.filter(text="Half an ans").exists()
    battle = factories.finish(turn, a=outcome("A whole answer."))
    assert battle.state == BattleState.READY


def test_a_complete_answer_cannot_be_retried() -> None:
    with pytest.raises(Refused) as refusal:
        battles.retry(factories.ready(), "a", "g")
    assert code(refusal) == (409, "nothing_to_retry")


def test_a_retry_may_not_change_what_was_voted_on() -> None:
    battle = factories.ready(a=outcome("Half", "early"))
    votes.cast_vote(battle.pk, "b", 1)
    battle.refresh_from_db()
    with pytest.raises(Refused) as refusal:
        battles.retry(battle, "a", "g")
    assert code(refusal) == (409, "voted")


def test_nothing_is_sent_past_a_side_that_failed_after_the_reveal() -> None:
    battle = factories.ready()
    votes.cast_vote(battle.pk, "a", 1)
    battle.refresh_from_db()
    battle = factories.finish(battles.send(battle, "More", uuid4(), "g"), b=outcome(error="timeout"))
    with pytest.raises(Refused) as refusal:
        battles.send(battle, "And more", uuid4(), "g")
    assert code(refusal) == (409, "failed")
    battles.retry(battle, "b", "g")


def test_unvoted_battles_expire() -> None:
    battle = factories.ready()
    assert battles.expire() == 0
    Battle.objects.update(expires_at=now())
    assert battles.expire() == 1
    battle.refresh_from_db()
    assert (battle.state, battle.void_reason) == (BattleState.VOID, VoidReason.ABANDONED)


def test_stop_marks_the_open_turn_only() -> None:
    turn = factories.started()
    battles.stop(turn.battle, "b")
    turn.refresh_from_db()
    assert (turn.stop_a, turn.stop_b) == (False, True)
    battle = factories.finish(turn)
    battles.stop(battle, None)  # nothing is open: no error, nothing changes
    turn.refresh_from_db()
    assert not turn.stop_a


def test_rematch_is_a_new_battle_with_the_same_prompt() -> None:
    factories.ring(3)
    battle = factories.ready()
    turn = battles.rematch(battle, uuid4(), battle.consent, "g")
    assert turn.battle_id != battle.pk
    assert turn.prompt.text == "Why is the sky blue?"


def test_only_voted_battles_are_shared_and_sharing_can_be_undone() -> None:
    battle = factories.ready()
    with pytest.raises(Refused) as refusal:
        battles.share(battle)
    assert code(refusal) == (409, "not_voted")
    votes.cast_vote(battle.pk, "tie", 1)
    token = battles.share(battle)
    assert len(token) == 43
    assert battles.share(battle) == token
    battles.unshare(battle)
    assert not Battle.objects.filter(share_token=token).exists()
    assert battles.share(battle) != token


def test_one_report_per_person_and_answer() -> None:
    battle = factories.ready()
    reply = battle.turns.get().replies.get(side="a")
    battles.report(reply, battle.visitor, "harmful", "bad")
    battles.report(reply, battle.visitor, "other", "again")
    assert Report.objects.get().reason == "harmful"


@pytest.mark.parametrize(
    "change",
    [
        {"state": "void"},
        {"state": "voted"},
        {"probability": 0.0},
        {"probability": 1.5},
        {"share_token": "early"},
    ],
    ids=str,
)
def test_the_database_refuses_impossible_battles(change: dict[str, object]) -> None:
    factories.started()
    with pytest.raises(IntegrityError), transaction.atomic():
        Battle.objects.update(**change)


def test_the_database_refuses_two_open_turns() -> None:
    turn = factories.started()
    with pytest.raises(IntegrityError), transaction.atomic():
        Turn.objects.create(battle=turn.battle, number=2, prompt=turn.prompt, key=uuid4())
    assert Turn.objects.get().state == TurnState.QUEUED


def test_a_vote_needs_a_subject() -> None:
    battle = factories.ready()
    with pytest.raises(IntegrityError), transaction.atomic():
        Vote.objects.create(battle=None, turn=battle.turns.get(), choice="a", seconds_to_vote=1)
