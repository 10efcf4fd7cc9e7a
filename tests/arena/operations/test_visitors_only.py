"""Figures are of visitors: battles of the demo count neither as work that waits nor as answers that were given."""

from datetime import timedelta

import pytest

from arena import clock, erasure
from arena.ids import uuid7_floor
from arena.models import Battle, Conversation, Message, Turn
from arena.models.battles import Origin
from arena.operations import counters, hour, now
from tests import factories

pytestmark = pytest.mark.django_db
WAITING = ("flagged", "pending", "unenriched")


def one_of_each() -> Battle:
    """A visitor's battle and one of the demo, just now, both with a side that is flagged; returns the visitor's."""
    mine, demo = factories.ready(), factories.ready()
    Battle.objects.filter(pk=demo.pk).update(origin=Origin.DEMO)
    Conversation.objects.filter(pk__in=[mine.conversation_a_id, demo.conversation_b_id]).update(verdict="flagged")
    return mine


def test_backlogs_hold_nothing_of_the_demo() -> None:
    mine = one_of_each()
    assert {name: now.backlog()[name] for name in WAITING} == {"flagged": 1, "pending": 1, "unenriched": 4}
    Battle.objects.filter(pk=mine.pk).update(origin=Origin.DEMO)
    assert {name: now.backlog()[name] for name in WAITING} == dict.fromkeys(WAITING, 0)


def test_deleted_texts_wait_for_no_detector() -> None:
    erasure.erase_battle(one_of_each())
    assert Message.objects.filter(id__gte=uuid7_floor(clock.now() - timedelta(hours=1))).count() == 8
    assert {name: now.backlog()[name] for name in WAITING} == dict.fromkeys(WAITING, 0)


def test_a_backlog_is_counted_no_further_than_many(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ready()
    monkeypatch.setattr(now, "MANY", 1)
    assert (now.backlog()["pending"], now.backlog()["unenriched"]) == (1, 1)


def test_the_hour_holds_nothing_of_the_demo() -> None:
    mine = one_of_each()
    factories.finish(factories.started(mine.visitor), factories.outcome(error="timeout"))
    Battle.objects.filter(pk=factories.finish(factories.started(), factories.outcome(error="crashed")).pk).update(
        origin=Origin.DEMO
    )
    told = hour.figures({})
    assert [(row["replies"], row["failed"]) for row in told["latency"].values()] == [(4, 1)]
    assert [tuple(row) for row in told["failures"]] == [("timeout", 1)]
    assert [row["replies"] for row in told["clients"]] == [row["replies"] for row in told["groups"]] == [4]


def test_counters_hold_nothing_of_the_demo() -> None:
    one_of_each()
    moment = clock.now()
    gained = counters.since(moment - timedelta(minutes=1), moment + timedelta(minutes=1), {})
    assert Turn.objects.count() == 2 and gained["turns",] == gained["battles",] == 1
    assert gained["replies", "done", "stop", ""] == 2 and gained["tokens", "", "out"] == 14
    assert sum(n for name, n in gained.items() if name[0] == "duration" and name[2] != "sum") == 2
