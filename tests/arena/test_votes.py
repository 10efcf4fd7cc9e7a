"""One vote per battle, decided by the server (S1, S2, S3, S7)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from arena import battles, judges, votes
from arena.clock import now
from arena.errors import Refused
from arena.models import Battle, Vote, VoteEvent
from arena.models.battles import BattleState
from tests import factories
from tests.factories import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def refusal_of(act: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        act()
    return refusal.value.status, refusal.value.code


def test_a_vote_writes_its_event_and_reveals() -> None:
    battle = factories.ready()
    vote = votes.cast_vote(battle.pk, "a", 1)
    battle.refresh_from_db()
    assert battle.state == BattleState.VOTED
    assert battle.revealed
    event = VoteEvent.objects.get()
    assert (event.kind, event.origin, event.choice, event.ranked, event.absorbed) == ("cast", "live", "a", True, False)
    assert event.vote == vote
    assert event.contestant_a == battle.revision_a.contestant
    assert event.probability == battle.probability
    assert (event.judge, event.categories) == (judges.judge_of(battle.visitor_id), [])
    assert vote.seconds_to_vote >= 0


def test_one_visitor_is_one_judge_and_no_hash_is_the_id(settings: object) -> None:
    mine, other = factories.visitor(), factories.visitor()
    for visitor in (mine, mine, other):
        votes.cast_vote(factories.ready(visitor).pk, "a", 1)
    first, second, third = VoteEvent.objects.order_by("created_at", "id").values_list("judge", flat=True)
    assert first == second != third and len(first) == 32
    assert first not in (mine.pk.hex, str(mine.pk)) and judges.judge_of(None) == ""
    settings.RELEASE_KEY = "another"  # type: ignore[attr-defined]
    assert judges.judge_of(mine.pk) != first


@pytest.mark.parametrize("choice", ["a", "tie", "both_bad", "b"])
def test_all_four_choices(choice: str) -> None:
    assert votes.cast_vote(factories.ready().pk, choice, 1).choice == choice


def test_an_unknown_choice_is_refused() -> None:
    battle = factories.ready()
    assert refusal_of(lambda: votes.cast_vote(battle.pk, "left", 1)) == (400, "choice")
    assert not Vote.objects.exists()


def test_a_second_vote_is_refused() -> None:
    battle = factories.ready()
    votes.cast_vote(battle.pk, "a", 1)
    assert refusal_of(lambda: votes.cast_vote(battle.pk, "b", 1)) == (409, "voted")
    assert Vote.objects.get().choice == "a"


@pytest.mark.django_db(transaction=True)
def test_fifty_votes_at_once_are_one_vote() -> None:
    battle = factories.ready()

    def post(choice: str) -> str:
        try:
            votes.cast_vote(battle.pk, choice, 1)
        except Refused as refusal:
            return refusal.code
        finally:
            connection.close()
        return "stored"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, ["a", "b"] * 25))
    assert sorted(set(answers)) == ["stored", "voted"]
    assert answers.count("stored") == 1
    assert Vote.objects.count() == VoteEvent.objects.count() == 1


def test_no_vote_before_both_sides_are_done() -> None:
    battle = factories.started().battle
    assert refusal_of(lambda: votes.cast_vote(battle.pk, "a", 1)) == (409, "not_ready")


def test_no_vote_while_a_failed_side_waits_for_its_retry() -> None:
    battle = factories.finish(factories.started(), a=outcome(error="timeout"))
    assert refusal_of(lambda: votes.cast_vote(battle.pk, "a", 1)) == (409, "not_ready")


def test_no_vote_after_expiry() -> None:
    battle = factories.ready()
    Battle.objects.update(expires_at=now() - timedelta(seconds=1))
    assert refusal_of(lambda: votes.cast_vote(battle.pk, "a", 1)) == (410, "expired")
    battles.expire()
    assert refusal_of(lambda: votes.cast_vote(battle.pk, "a", 1)) == (410, "void")


def test_no_vote_on_answers_the_voter_has_not_seen() -> None:
    battle = factories.ready()
    battle = factories.finish(battles.send(battle, "More", uuid4(), "g"))
    assert refusal_of(lambda: votes.cast_vote(battle.pk, "a", 1)) == (409, "stale")
    assert votes.cast_vote(battle.pk, "a", 2).turn.number == 2


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (outcome("Fine."), ""),
        (outcome("Fine.", "length"), ""),
        (outcome("Fi", "stopped"), "stopped"),
        (outcome("Fi", "early"), "early"),
    ],
    ids=["stop", "length", "stopped", "early"],
)
def test_what_ranks_and_the_public_reason_why_not(ending: factories.Outcome, reason: str) -> None:
    vote = votes.cast_vote(factories.ready(b=ending).pk, "a", 1)
    assert vote.unranked == reason
    assert VoteEvent.objects.get().ranked == (reason == "")


def test_an_answer_that_names_its_contestant_marks_the_vote() -> None:
    factories.contestant("Zephyr Prime")
    factories.contestant("Quiet One")
    battle = factories.ready(a=outcome("I am Zephyr Prime, nice to meet you."))
    vote = votes.cast_vote(battle.pk, "b", 1)
    assert vote.identity_mark
    assert vote.unranked == "identity"
    assert not VoteEvent.objects.get().ranked


def test_an_answer_about_google_still_counts() -> None:
    battle = factories.ready(a=outcome("Google was founded in 1998; palms grow in the bard's garden."))
    assert votes.cast_vote(battle.pk, "a", 1).unranked == ""
