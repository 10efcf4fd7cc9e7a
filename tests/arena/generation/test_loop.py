"""The worker's loop: bounded, stoppable, and it gives back what it cannot finish."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import redis
from django.test import TransactionTestCase

from arena import battles, erasure
from arena.generation import loop as loop_module
from arena.generation.loop import GenerationLoop
from arena.generation.run import TurnRun
from arena.models import Battle, Message, Turn
from arena.models.battles import BattleState, TurnState
from arena.operations import heartbeat, hour
from arena.streams import events
from inference.scheduler.protocol import ClientFigures
from tests import factories
from tests.arena.generation.playing import END, ScriptedDispatcher

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]
PATIENCE_S = 10.0


class EndlessDispatcher(ScriptedDispatcher):
    """Every request plays the same script."""

    def __init__(self, *script: object) -> None:
        super().__init__([], [])
        self.script = list(script)

    def stream(self, wanted: object) -> AsyncIterator[object]:
        self.scripts = [self.script] * (len(self.wanted) + 1)
        return super().stream(wanted)  # type: ignore[arg-type]


@pytest.fixture
def running() -> Iterator[Callable[..., GenerationLoop]]:
    loops: list[GenerationLoop] = []

    def start(*script: object) -> GenerationLoop:
        @asynccontextmanager
        async def opened() -> AsyncIterator[EndlessDispatcher]:
            yield EndlessDispatcher(*script)

        loops.append(GenerationLoop(opened).start())  # type: ignore[arg-type]
        return loops[-1]

    yield start
    for loop in loops:
        loop.stop(0.0)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def state(turn: Turn) -> str:
    return Turn.objects.values_list("state", flat=True).get(pk=turn.pk)


def test_a_turn_is_driven_to_its_end(running: Callable[..., GenerationLoop]) -> None:
    turn = factories.started()
    running("text", END).offer(turn.id)
    until(lambda: state(turn) == TurnState.DONE, "not finished")
    assert Battle.objects.get().state == BattleState.READY


def test_a_full_worker_claims_no_more_and_looks_again_when_there_is_room(
    running: Callable[..., GenerationLoop], settings: TransactionTestCase
) -> None:
    settings.OPEN_TURNS = 1
    first, second = factories.started(), factories.started()
    loop = running("text", 0.5, END)
    loop.offer(first.id)
    loop.offer(second.id)
    until(lambda: state(first) == TurnState.RUNNING, "not claimed")
    assert state(second) == TurnState.QUEUED
    assert len(loop.runs) == 1
    until(lambda: state(second) == TurnState.DONE, "the waiting turn was forgotten")


def test_the_stop_button_reaches_the_worker_at_once(
    running: Callable[..., GenerationLoop], settings: TransactionTestCase
) -> None:
    settings.TURN_LEASE_S = 600  # not at a renewal, which would find the stop as well
    turn = factories.started()
    loop = running("text", 60.0, END)
    loop.offer(turn.id)
    until(lambda: bool(loop.runs) and loop.runs[turn.id].released, "no text")
    battles.stop(turn.battle, None)
    until(lambda: state(turn) == TurnState.DONE, "not stopped")
    assert set(turn.replies.values_list("finish_reason", flat=True)) == {"stopped"}


def test_a_stop_that_was_not_heard_is_read_at_the_lease_renewal(
    running: Callable[..., GenerationLoop], settings: TransactionTestCase
) -> None:
    settings.TURN_LEASE_S = 0.6
    turn = factories.started()
    loop = running("text", 60.0, END)
    loop.offer(turn.id)
    until(lambda: bool(loop.runs) and loop.runs[turn.id].released, "no text")
    Turn.objects.update(stop_a=True, stop_b=True)  # as if the message had been lost
    until(lambda: state(turn) == TurnState.DONE, "not stopped")


@pytest.mark.parametrize("heard", [True, False], ids=["told", "found at the lease renewal"])
def test_an_erased_turn_stops_and_its_stream_goes(
    running: Callable[..., GenerationLoop],
    settings: TransactionTestCase,
    monkeypatch: pytest.MonkeyPatch,
    valkey: redis.Redis,
    heard: bool,
) -> None:
    settings.TURN_LEASE_S = 0.6
    if not heard:
        monkeypatch.setattr(erasure, "tell_stop", lambda *_: None)
        monkeypatch.setattr(erasure, "forget_streams", lambda *_: None)
    turn = factories.started()
    loop = running("secret text", 60.0, END)
    loop.offer(turn.id)
    until(lambda: "secret" in str(valkey.xrange(events.key(turn.id))), "no text in the stream")
    erasure.erase(turn.battle.visitor)
    until(lambda: not loop.runs and not loop.publisher.dropped, "still driven")
    assert not valkey.exists(events.key(turn.id))
    assert set(Message.objects.values_list("text", flat=True)) == {""}


def test_draining_finishes_what_is_open(running: Callable[..., GenerationLoop]) -> None:
    turn = factories.started()
    loop = running("text", 0.5, END)
    loop.offer(turn.id)
    until(lambda: bool(loop.runs), "not claimed")
    loop.drain(5.0)
    assert state(turn) == TurnState.DONE


def test_what_cannot_be_finished_in_time_is_given_back(running: Callable[..., GenerationLoop]) -> None:
    turn = factories.started()
    loop = running("text", 60.0, END)
    loop.offer(turn.id)
    until(lambda: bool(loop.runs), "not claimed")
    loop.drain(0.2)
    left = Turn.objects.get(pk=turn.pk)
    assert (left.state, left.claims) == (TurnState.RUNNING, 0)
    running("text", END).offer(turn.id)  # another worker takes it at once
    until(lambda: state(turn) == TurnState.DONE, "not taken over")
    assert set(turn.replies.values_list("attempt", flat=True)) == {2}


def test_a_turn_that_is_sent_again_to_the_worker_that_holds_it_is_not_driven_twice(
    running: Callable[..., GenerationLoop],
) -> None:
    turn = factories.started()
    loop = running("text", 0.6, END)
    loop.offer(turn.id)
    until(lambda: bool(loop.runs), "not claimed")
    Turn.objects.update(lease_until=turn.created_at)  # the database was away for longer than the lease
    loop.offer(turn.id)
    until(lambda: state(turn) == TurnState.DONE, "not finished")
    until(lambda: not loop.tasks, "a run was left hanging")
    assert Turn.objects.get(pk=turn.pk).claims == 1


def test_a_process_has_one_loop_though_two_tasks_begin_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Slow:
        def start(self) -> "Slow":
            made.append(self)
            time.sleep(0.1)
            return self

    monkeypatch.setattr(loop_module, "GenerationLoop", Slow)
    loop_module._started.cache_clear()
    try:
        with ThreadPoolExecutor(2) as tasks:
            first, second = tasks.map(lambda _: loop_module.loop(), range(2))
    finally:
        loop_module._started.cache_clear()
    assert first is second
    assert len(made) == 1


def test_a_draining_worker_takes_nothing(running: Callable[..., GenerationLoop]) -> None:
    turn = factories.started()
    loop = running("text", END)
    loop.drain(0.1)
    loop.offer(turn.id)
    time.sleep(0.3)
    assert state(turn) == TurnState.QUEUED


def test_a_turn_that_breaks_while_rendered_does_not_stop_the_others(
    running: Callable[..., GenerationLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = factories.started(), factories.started()
    tick = TurnRun.tick

    def brittle(run: TurnRun) -> None:
        if run.brief.turn_id == broken.id:
            raise ValueError("hostile text")
        tick(run)

    monkeypatch.setattr(TurnRun, "tick", brittle)
    loop = running("text", 0.1, END)
    loop.offer(broken.id)
    loop.offer(whole.id)
    until(lambda: state(whole) == TurnState.DONE, "the other turn was stopped, too")
    until(lambda: broken.id not in loop.runs, "the broken turn is still driven")
    assert state(broken) == TurnState.RUNNING  # its lease runs out, then it is taken up again


def test_the_loop_beats_from_inside_and_goes_on_telling_while_it_drains(
    running: Callable[..., GenerationLoop], settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HEARTBEAT_S = 0.05
    told: list[object] = []
    monkeypatch.setattr(heartbeat, "tell", told.append)
    monkeypatch.setattr(heartbeat, "leave", lambda: told.append("left"))
    turn = factories.started()
    loop = running("slow ", 0.4, "end", END)
    loop.offer(turn.pk)
    until(lambda: any(one["open_turns"] for one in told if one != "left"), "no beat while it wrote")
    assert set(told[-1]) == {"open_turns", "leases_lost", "room", "events", "losses", "flush_s", "lanes", "queues"}
    loop.drain(10)
    turn.refresh_from_db()
    assert turn.state == "done" and loop.thread.is_alive()
    until(lambda: told[-1] == "left", "it is still missed")


def test_whom_its_queues_serve_is_told_under_names_that_find_nobody() -> None:
    """The heartbeat lies in Valkey: no visitor's id goes there."""
    visitor = "0199e5a0-0000-7000-8000-000000000001"
    told = ClientFigures(f"visitor:{visitor}", "k1-0123456789abcdef", 70.0, 60.0, 60.0, 2, 5, 0.5, 1.5)
    loop = GenerationLoop()
    loop.dispatcher = SimpleNamespace(figures=dict, clients=lambda limit: {"deployment": [told] * min(limit, 1)})
    loop.publisher = SimpleNamespace(figures=dict)
    figures = loop.figures()
    (row,) = figures["queues"]["deployment"]  # type: ignore[index]
    assert (row["name"], row["waiting"], row["waits"]) == (hour.client_name(visitor)["name"], 2, [0.5, 1.5])
    assert visitor not in json.dumps(figures)
