"""S18: votes that are taken out leave the board, the trail stays, and the voter's page keeps every byte."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from arena import visitors, voiding
from arena.errors import Refused
from arena.models import AuditEntry, Battle, Visitor, Vote, VoteEvent
from arena.models.votes import EventKind
from arena.votes import cast_vote
from ranking.fits import fitting
from ranking.models import BoardSnapshot
from tests import factories
from tests.ranking import rows
from tests.ranking.recounting import recount

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was sent to Celery."""
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(voiding.app, "send_task", lambda name, queue, retry: sent.append((name, queue)))
    return sent


def voted(by: Visitor | None = None, choice: str = "a") -> Battle:
    battle = factories.ready(by)
    cast_vote(battle.pk, choice, 1)
    return Battle.objects.get(pk=battle.pk)


def board() -> list[dict]:
    """The newest live board's models, without what differs between two runs over the same counts."""
    return BoardSnapshot.objects.filter(origin="live").latest("fitted_at").board["models"]


def test_an_unvoted_battle_becomes_void(ada: User) -> None:
    battle = factories.ready()
    voiding.void_battle(battle, ada, "a test by the staff")
    battle.refresh_from_db()
    assert (battle.state, battle.void_reason, battle.expires_at) == ("void", "flagged", None)
    with pytest.raises(Refused) as refused:
        cast_vote(battle.pk, "a", 1)
    assert refused.value.status == 410
    entry = AuditEntry.objects.get(action="void")
    assert (entry.actor, entry.subject, entry.reason) == (ada, str(battle.pk), "a test by the staff")
    assert (entry.before["state"], entry.before["counted"], entry.after["counted"]) == ("ready", True, False)


def test_a_voted_battle_keeps_its_state_and_gets_an_event(ada: User) -> None:
    battle = voted(choice="b")
    voiding.void_battle(battle, ada, "bought")
    battle.refresh_from_db()
    assert battle.state == "voted"
    cast, void = VoteEvent.objects.filter(vote__battle=battle).order_by("created_at", "id")
    assert (cast.kind, void.kind, void.choice, void.absorbed) == (EventKind.CAST, EventKind.VOID, "b", False)
    assert (void.contestant_a_id, void.contestant_b_id) == (cast.contestant_a_id, cast.contestant_b_id)


@pytest.mark.parametrize("make", [factories.ready, voted])
def test_the_second_time_is_refused_and_writes_nothing(ada: User, make) -> None:
    battle = make()
    voiding.void_battle(battle, ada, "once")
    written = VoteEvent.objects.count(), AuditEntry.objects.count()
    with pytest.raises(Refused) as refused:
        voiding.void_battle(battle, ada, "twice")
    assert (refused.value.status, refused.value.code) == (409, "void")
    assert written == (VoteEvent.objects.count(), AuditEntry.objects.count())


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_a_reason_is_wanted(ada: User, reason: str) -> None:
    battle = voted()
    with pytest.raises(Refused, match="Say why"):
        voiding.void_battle(battle, ada, reason)
    with pytest.raises(Refused, match="Say why"):
        voiding.void_votes_of(battle.visitor, ada, reason)
    assert VoteEvent.objects.count() == 1


def test_the_board_is_refitted_without_the_votes_of_a_rigger(
    ada: User, queued: list, django_capture_on_commit_callbacks
) -> None:
    """S18, whole: a board with honest votes; a rigger joins; the rigger is taken out; the board is the honest one again."""
    first, second = rows.contestants(2)
    for choice in ["a"] * 9 + ["b"] * 6 + ["tie"] * 3:
        rows.cast(first, second, choice)
    fitting.refit()
    honest, honest_counts = board(), rows.stored("live")
    rigger = factories.visitor()
    mine = [rows.cast(first, second, "b").vote for _ in range(40)]
    Vote.objects.filter(pk__in=[vote.pk for vote in mine]).update(visitor=rigger)
    fitting.refit()
    assert board() != honest

    with django_capture_on_commit_callbacks(execute=True):
        assert voiding.void_votes_of(rigger, ada, "40 votes in a minute, all for one model") == 40
    assert queued == [("ranking.tasks.refit", "rank")]
    fitting.refit()
    assert (board(), rows.stored("live")) == (honest, honest_counts)
    pairs, judges, _inverse = recount(VoteEvent.objects.all())
    assert (rows.stored("live"), rows.stored_by_judge("live")) == (pairs, judges)

    entry = AuditEntry.objects.get(action="void votes")
    assert (entry.actor, entry.subject, entry.before["votes"]) == (ada, str(rigger.pk), 40)
    assert entry.before == {"votes": 40} and "40 votes" in entry.reason
    assert Vote.objects.filter(visitor=rigger).count() == 40, "the votes themselves stay"
    assert VoteEvent.objects.filter(kind="void").count() == 40


def test_taking_all_votes_out_again_finds_none(ada: User, queued: list, django_capture_on_commit_callbacks) -> None:
    battle = voted()
    assert voiding.void_votes_of(battle.visitor, ada, "first") == 1
    with django_capture_on_commit_callbacks(execute=True):
        assert voiding.void_votes_of(battle.visitor, ada, "second") == 0
    assert queued == [] and AuditEntry.objects.filter(action="void votes").count() == 1


def test_others_votes_and_later_votes_stay(ada: User) -> None:
    rigger, honest = factories.visitor(), factories.visitor()
    voted(rigger), voted(honest)
    voiding.void_votes_of(rigger, ada, "r")
    later = voted(rigger)
    kinds = {str(e.vote.battle_id): e.kind for e in VoteEvent.objects.exclude(kind="cast").select_related("vote")}
    assert len(kinds) == 1 and str(later.pk) not in kinds


def test_the_query_count_does_not_grow_with_the_votes(ada: User, django_assert_max_num_queries) -> None:
    first, second = rows.contestants(2)
    rigger = factories.visitor()
    for _ in range(30):
        rows.cast(first, second, "a")
    Vote.objects.update(visitor=rigger)
    with django_assert_max_num_queries(9):
        voiding.void_votes_of(rigger, ada, "r")


def test_a_dead_broker_loses_nothing(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("nobody listens")

    monkeypatch.setattr(voiding.app, "send_task", away)
    assert voiding.ask_for_a_fit() is False


@pytest.mark.usefixtures("valkey")
def test_the_fit_is_queued_where_the_rank_worker_listens(valkey: redis.Redis) -> None:
    before = valkey.llen("rank")
    assert voiding.ask_for_a_fit()
    assert valkey.llen("rank") == before + 1


def test_the_voter_sees_the_same_bytes(ada: User) -> None:
    battle = voted()
    client = Client()
    client.cookies[visitors.COOKIE] = visitors._signer.sign(battle.visitor.pk.hex)

    def seen() -> list[bytes]:
        pages = [
            client.get(f"/b/{battle.pk}/"),
            client.get("/me/"),
            client.get(f"/b/{battle.pk}/", headers={"HX-Request": "true"}),
        ]
        assert [page.status_code for page in pages] == [200, 200, 200]
        return [changing.sub(b"", page.content) for page in pages]

    # what is fresh in every response: the form's idempotency key and the CSRF token
    changing = re.compile(rb'name="(key|csrfmiddlewaretoken)" value="[^"]+"')
    assert seen() == (before := seen())
    voiding.void_battle(battle, ada, "bought")
    assert seen() == before
    assert client.post(f"/b/{battle.pk}/vote/", {"choice": "a", "turn": 1}).status_code == 409


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("valkey")
def test_of_many_at_once_one_voids() -> None:
    """A battle and its visitor's votes, voided by eight people at the same moment: one event."""
    battle = voted()
    staff = [User.objects.create_user(f"m{n}", is_staff=True) for n in range(8)]

    def void(n: int) -> int:
        try:
            if n % 2:
                return voiding.void_votes_of(battle.visitor, staff[n], "r")
            voiding.void_battle(battle, staff[n], "r")
            return 1
        except Refused:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(void, range(8))) == 1
    assert VoteEvent.objects.filter(kind="void").count() == 1
    assert AuditEntry.objects.filter(action__startswith="void").count() == 1
