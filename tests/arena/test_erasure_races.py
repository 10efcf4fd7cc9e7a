"""Deleting one's data while others write the same rows: each order of each pair, on a real database."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import pytest
import redis
from django.db import connection, connections, transaction

from arena import battles, erasure, turns, votes
from arena.errors import Refused
from arena.models import Battle, Enrichment, Message, ModerationRecord, Side, Turn, Vote
from arena.models.battles import TurnState
from arena.moderation import enrichment, verdicts
from arena.streams import events
from tests import factories
from tests.arena.test_erasure import CANARY, life, traces
from tests.factories import outcome
from tests.traces import everything_in, everything_stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


@contextmanager
def others():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def alone(work: Callable[[], object]) -> Callable[[], object]:
    """`work` in a thread of its own, which gives its connection back."""

    def run() -> object:
        try:
            return work()
        finally:
            connections.close_all()

    return run


class Pause:
    """Stops a function of the product in its middle until somebody says go."""

    def __init__(self, monkeypatch, owner: object, name: str) -> None:
        self.reached, self.go, self.original = threading.Event(), threading.Event(), getattr(owner, name)
        monkeypatch.setattr(owner, name, self)

    def __call__(self, *args: object, **kwargs: object) -> object:
        result = self.original(*args, **kwargs)
        self.reached.set()
        assert self.go.wait(20)
        return result


def somebody_waits() -> None:
    """Returns once a session waits for another one's lock."""
    deadline = time.monotonic() + 10
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waited")


def test_a_turn_that_ends_just_before_leaves_no_text(monkeypatch) -> None:
    """The worker has written its texts and not yet committed; we wait for it, then delete them."""
    turn = factories.started(prompt=CANARY)
    visitor = turn.battle.visitor
    turns.claim(turn.pk, "w")
    pause = Pause(monkeypatch, turns, "_close")
    texts = {side: outcome(f"{CANARY} {side}") for side in Side}
    with others() as pool:
        finishing = pool.submit(alone(lambda: turns.finish(turn.pk, "w", texts)))
        assert pause.reached.wait(20)
        erasing = pool.submit(alone(lambda: erasure.erase(visitor)))
        somebody_waits()
        pause.go.set()
        finishing.result(20)
        assert erasing.result(20) == 1
    assert Message.objects.count() == 4 and traces(CANARY) == []


def test_a_turn_that_ends_just_after_writes_nothing(monkeypatch) -> None:
    """We hold the rows; the worker waits for them, and then finds its lease gone."""
    turn = factories.started(prompt=CANARY)
    visitor = turn.battle.visitor
    turns.claim(turn.pk, "w")
    pause = Pause(monkeypatch, erasure, "_erase_texts")
    texts = {side: outcome(f"{CANARY} {side}") for side in Side}
    with others() as pool:
        erasing = pool.submit(alone(lambda: erasure.erase(visitor)))
        assert pause.reached.wait(20)
        finishing = pool.submit(alone(lambda: turns.finish(turn.pk, "w", texts)))
        somebody_waits()
        pause.go.set()
        assert erasing.result(20) == 1
        with pytest.raises(turns.LeaseLost):
            finishing.result(20)
    assert Message.objects.count() == 2 and traces(CANARY) == []
    turn.refresh_from_db()
    assert turn.state == TurnState.DONE and set(turn.replies.values_list("error", flat=True)) == {"erased"}
    assert turns.erased(turn.pk) and turns.claim(turn.pk, "another") is None and not turns.give_up(turn.pk)


@pytest.mark.parametrize("first", ["send", "erase"])
@pytest.mark.parametrize("what", ["visitor", "battle"])
def test_a_prompt_sent_at_the_same_moment_is_not_stored(monkeypatch, first: str, what: str) -> None:
    visitor = factories.visitor()
    battle = factories.ready(visitor)
    send = alone(lambda: battles.send(Battle.objects.get(pk=battle.pk), CANARY, uuid4(), "g"))
    erase = alone(lambda: erasure.erase(visitor) if what == "visitor" else erasure.erase_battle(battle))
    if first == "send":
        pause = Pause(monkeypatch, battles, "_open_turn")
        before, after = send, erase
    else:
        pause = Pause(monkeypatch, erasure, "_erase_texts")
        before, after = erase, send
    with others() as pool:
        one = pool.submit(before)
        assert pause.reached.wait(20)
        two = pool.submit(after)
        somebody_waits()
        pause.go.set()
        if first == "send":
            one.result(20), two.result(20)
        else:
            one.result(20)
            with pytest.raises(Refused) as refused:
                two.result(20)
            assert refused.value.status == 410
    assert traces(CANARY) == []
    assert not Turn.objects.exclude(state=TurnState.DONE).exists()


def test_a_battle_begun_at_the_same_moment_is_not_stored(monkeypatch) -> None:
    visitor = factories.visitor()
    factories.ring()
    given = factories.consent(visitor)
    pause = Pause(monkeypatch, battles, "_open_battle")
    with others() as pool:
        starting = pool.submit(alone(lambda: battles.start(visitor, CANARY, uuid4(), given, "g")))
        assert pause.reached.wait(20)
        erasure.erase(visitor)
        pause.go.set()
        with pytest.raises(Refused) as refused:
            starting.result(20)
    assert (refused.value.status, refused.value.code) == (410, "deleted")
    assert traces(CANARY) == [] and not Battle.objects.exists()


def test_a_vote_cast_at_the_same_moment_counts_or_is_refused(monkeypatch) -> None:
    """The vote holds the battle and wants the visitor, we hold the visitor and want the battle: we give way, the vote stands."""
    visitor = factories.visitor()
    battle = factories.ready(visitor, a=outcome(CANARY))
    pause = Pause(monkeypatch, votes, "_store")
    with others() as pool:
        voting = pool.submit(alone(lambda: votes.cast_vote(battle.pk, "a", 1)))
        assert pause.reached.wait(20)
        erasing = pool.submit(alone(lambda: erasure.erase(visitor)))
        somebody_waits()
        pause.go.set()
        voting.result(20)
        assert erasing.result(20) == 1
    assert Vote.objects.get().visitor is None and traces(CANARY, str(visitor.pk)) == []


@pytest.mark.parametrize("first", ["detectors", "erase"])
def test_what_detectors_find_at_the_same_moment_does_not_stay(monkeypatch, first: str) -> None:
    """They read a text before and store hashes of it after: under the message's lock, or not at all when it is gone."""
    battle = factories.ready(a=outcome(CANARY))
    texts = list(Message.objects.filter(conversation=battle.conversation_a_id))
    digest = verdicts.text_sha256(CANARY)
    enrich = alone(lambda: enrichment.enrich(texts))
    with others() as pool:
        if first == "detectors":
            pause = Pause(monkeypatch, enrichment, "_store_rows")
            enriching = pool.submit(enrich)
            assert pause.reached.wait(20)
            erasing = pool.submit(alone(lambda: erasure.erase(battle.visitor)))
            somebody_waits()
            pause.go.set()
        else:
            pause = Pause(monkeypatch, enrichment, "_look")
            enriching = pool.submit(enrich)
            assert pause.reached.wait(20)
            erasing = pool.submit(alone(lambda: erasure.erase(battle.visitor)))
            assert erasing.result(20) == 1
            pause.go.set()
        assert erasing.result(20) == 1 and enriching.result(20) == (2 if first == "detectors" else 0)
    assert not Enrichment.objects.exists() and not ModerationRecord.objects.exists()
    assert traces(CANARY, digest) == []


def test_rows_that_stay_busy_mean_that_nothing_was_deleted(monkeypatch) -> None:
    visitor = factories.visitor()
    battle = life(visitor)
    monkeypatch.setattr(erasure, "LOCK_WAIT_MS", 20)
    monkeypatch.setattr(erasure, "PAUSE_S", 0.01)
    before = sorted(everything_stored())
    with transaction.atomic():
        Battle.objects.select_for_update().get(pk=battle.pk)
        with others() as pool, pytest.raises(Refused) as refused:
            pool.submit(alone(lambda: erasure.erase(visitor))).result(20)
    assert (refused.value.status, refused.value.code) == (503, "busy") and refused.value.retry_after
    assert sorted(everything_stored()) == before


def test_streams_of_the_deleted_go_with_the_commit(valkey: redis.Redis) -> None:
    turn = factories.started(prompt=CANARY)
    turns.claim(turn.pk, "w")
    valkey.xadd(events.key(turn.pk), {"e": "frame", "d": CANARY})
    listening = valkey.pubsub(ignore_subscribe_messages=True)
    listening.subscribe("turn-stop")
    listening.get_message(timeout=1)
    erasure.erase(turn.battle.visitor)
    assert listening.get_message(timeout=5)["data"].decode() == f"{turn.pk} ab"
    assert CANARY not in str(list(everything_in(valkey)))
    listening.close()
