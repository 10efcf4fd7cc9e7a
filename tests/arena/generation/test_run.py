"""One turn in the worker, against a scripted dispatcher: alignment, cadence, stop, failure, replacement."""

import time
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from arena import battles, turns
from arena.generation.run import TurnRun
from arena.models import Battle, Reply, Side, Turn
from arena.models.battles import BattleState
from inference.events import GenerationFailed, Opened, Queued, Text, Wanted
from tests.arena.generation.playing import END, ScriptedDispatcher, begin, play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


async def test_both_sides_end_in_one_commit_and_done_comes_last() -> None:
    turn = await begin()
    played = await play(turn, ScriptedDispatcher(["Hel", "lo", END], ["World", END]))
    assert played.names[0] == "status"
    assert played.told[-1] == ("done", {"battle": "ready"})
    assert "Hello" in played.text("a")
    assert "World" in played.text("b")
    assert played.battle.state == BattleState.READY
    reply = await turn.replies.select_related("message").aget(side="a")
    assert reply.message.text == "Hello"
    assert reply.message.html == "<p>Hello</p>\n"
    assert (reply.tokens_in, reply.tokens_out) == (3, 4)


async def test_the_pair_is_named_to_the_scheduler_and_nobody_else_is() -> None:
    turn = await begin()
    dispatcher = ScriptedDispatcher(["x", END], ["y", END])
    await play(turn, dispatcher)
    first, second = dispatcher.wanted
    assert first.pair == second.pair == str(turn.id)
    assert (first.pair_size, first.klass, first.group) == (2, "battle", "g")
    assert first.client == second.client == first.cache_salt
    assert first.seed != second.seed


async def test_the_faster_side_waits_for_the_slower() -> None:
    played = await play(await begin(), ScriptedDispatcher(["fast", 0.3, END], [0.2, "slow", END]))
    frames = [data for name, data in played.told if name == "frame"]
    assert set(frames[0]) == {"a", "b"}


async def test_but_not_longer_than_the_bound(settings: object) -> None:
    settings.START_ALIGN_S = 0.05
    played = await play(await begin(), ScriptedDispatcher(["fast", 0.4, END], [0.3, "slow", END]))
    assert played.first("a") < played.first("b")


async def test_the_cadence_does_not_tell_a_fast_model_from_a_slow_one() -> None:
    """S6: until the slow side has ended, every frame holds both sides and the same number of characters of each."""
    fast, slow = (
        [text for _ in range(60) for text in ("quick ", 0.002)],
        [text for _ in range(12) for text in ("slow", 0.03)],
    )
    played = await play(await begin(), ScriptedDispatcher([*fast, END], [*slow, END]))
    slow_ended = next(i for i, (name, data) in enumerate(played.told) if name == "side" and data["side"] == "b")
    frames = [data for name, data in played.told[:slow_ended] if name == "frame"]
    assert len(frames) > 5
    assert all(len(frame["a"]["add"]) == len(frame["b"]["add"]) for frame in frames[:-1])  # the last one closes b
    assert "side" not in played.names[:slow_ended]  # the fast one has long ended, and nobody can tell
    assert (played.text("a"), played.text("b")) == (f"<p>{('quick ' * 60).strip()}</p>\n", f"<p>{'slow' * 12}</p>\n")


async def test_a_side_that_falls_silent_holds_the_other_no_longer_than_the_bound(settings: object) -> None:
    settings.PACE_STALL_S = 0.1
    dispatcher = ScriptedDispatcher(["quick " * 20, 0.8, END], ["sl", 1.5, "ow", END])
    played = await play(await begin(), dispatcher)
    ended = [data["side"] for name, data in played.told if name == "side"]
    assert ended == ["a", "b"]


async def test_after_the_reveal_nobody_is_held() -> None:
    turn = await begin()
    await Turn.objects.filter(pk=turn.pk).aupdate(post_reveal=True)
    played = await play(turn, ScriptedDispatcher(["quick " * 20, 0.1, END], ["slow", 0.8, "er", END]))
    assert [data["side"] for name, data in played.told if name == "side"] == ["a", "b"]


async def test_a_position_in_the_queue_is_one_status_for_the_turn() -> None:
    queued = Queued(3, 12.4)
    played = await play(await begin(), ScriptedDispatcher([queued, 0.05, "x", END], [0.05, "y", END]))
    assert ("status", {"state": "queued", "position": 3, "eta_s": 12}) in played.told
    assert [data["state"] for name, data in played.told if name == "status"][-1] == "writing"


async def test_stopping_one_side_keeps_its_text() -> None:
    def press(run: TurnRun) -> None:
        if run.released:
            run.stop({Side.A})

    dispatcher = ScriptedDispatcher(["begun", 30.0, END], ["whole", 0.1, END])
    played = await play(await begin(), dispatcher, press)
    assert played.end("a") == "stopped"
    assert played.end("b") == "done"
    assert "begun" in played.text("a")
    assert played.battle.state == BattleState.READY
    assert dispatcher.closed == 2  # the upstream request was closed, not left to run


async def test_a_stop_that_came_before_the_worker_ends_both_sides_at_once() -> None:
    turn = await begin()
    await sync_to_async(battles.stop)(turn.battle, None)
    dispatcher = ScriptedDispatcher(["x", END], ["y", END])
    played = await play(turn, dispatcher)
    assert (played.end("a"), played.end("b")) == ("stopped", "stopped")
    assert played.battle.state == BattleState.READY
    assert not dispatcher.wanted  # no model was asked


async def test_a_stop_before_the_first_text_leaves_an_empty_answer() -> None:
    played = await play(await begin(), ScriptedDispatcher([30.0], [30.0]), lambda run: run.stop(set(Side)))
    assert (played.end("a"), played.end("b")) == ("stopped", "stopped")
    assert played.battle.state == BattleState.READY


async def test_a_stop_while_a_new_pair_is_drawn_does_not_break_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    replace, pressed = battles.replace, []

    def slow(*arguments: object) -> bool:
        time.sleep(0.2)
        return replace(*arguments)  # type: ignore[arg-type]

    def press(run: TurnRun) -> None:
        if run.replacing and not pressed:
            pressed.append(True)
            run.stop(set(Side))

    monkeypatch.setattr(battles, "replace", slow)
    failure = GenerationFailed("server_error")
    played = await play(await begin(4), ScriptedDispatcher([failure], ["not seen", 5.0, END]), press)
    assert pressed
    assert played.told[-1] == ("done", {"battle": "void", "next": f"/b/{played.battle.successor_id}/"})


async def test_a_stream_that_breaks_after_text_ends_early_and_is_votable() -> None:
    broken = GenerationFailed("truncated", after_text=True)
    played = await play(await begin(), ScriptedDispatcher(["half", broken], ["whole", END]))
    assert played.end("a") == "early"
    assert played.battle.state == BattleState.READY


async def test_a_failure_before_any_text_silently_draws_a_new_pair() -> None:
    turn = await begin(4)
    failure = GenerationFailed("server_error")
    played = await play(turn, ScriptedDispatcher([0.05, failure], ["not seen", 5.0, END]))
    assert played.battle.state == BattleState.VOID
    assert played.battle.void_reason == "error"
    assert "frame" not in played.names  # nothing of the old pair reached the browser
    assert "side" not in played.names
    assert played.told[-1] == ("done", {"battle": "void", "next": f"/b/{played.battle.successor_id}/"})
    successor = await Battle.objects.aget(pk=played.battle.successor_id)
    assert successor.state == BattleState.STREAMING


async def test_with_nobody_left_to_draw_the_person_is_offered_a_retry() -> None:
    failure = GenerationFailed("server_error")
    played = await play(await begin(2), ScriptedDispatcher([failure], ["whole", END]))
    assert played.end("a") == "failed"
    assert "whole" in played.text("b")
    assert played.battle.state == BattleState.FAILED


async def test_a_failure_after_the_other_side_was_seen_is_never_silent(settings: object) -> None:
    settings.START_ALIGN_S = 0.02
    failure = GenerationFailed("timeout")
    played = await play(await begin(4), ScriptedDispatcher([0.3, failure], ["seen", 0.5, END]))
    assert played.battle.state == BattleState.FAILED
    assert played.battle.successor_id is None


async def test_an_answer_without_text_is_a_failure() -> None:
    played = await play(await begin(2), ScriptedDispatcher([END], ["whole", END]))
    assert played.end("a") == "failed"
    reply = await played.battle.turns.aget()
    assert (await reply.replies.aget(side="a")).error == "empty"


async def test_an_endless_answer_is_cut_at_the_bound(settings: object) -> None:
    settings.REPLY_MAX_CHARS = 1000
    played = await play(await begin(), ScriptedDispatcher(["x" * 100] * 50 + [60.0], ["y", END]))
    turn = await played.battle.turns.aget()
    reply = await turn.replies.select_related("message").aget(side="a")
    assert reply.finish_reason == "length"
    assert len(reply.message.text) == 1000


async def test_a_new_attempt_begins_with_a_reset() -> None:
    turn = await begin()
    await sync_to_async(turns.claim)(turn.id, "dead worker")
    await Turn.objects.filter(pk=turn.pk).aupdate(lease_until=turn.created_at)
    played = await play(turn, ScriptedDispatcher(["x", END], ["y", END]))
    assert played.told[:2] == [("reset", {"side": "a", "attempt": 2}), ("reset", {"side": "b", "attempt": 2})]
    assert all(data[s]["n"] == 2 for name, data in played.told if name == "frame" for s in data)


async def test_a_snapshot_tells_the_turn_so_far() -> None:
    seen: list[list] = []

    def look(run: TurnRun) -> None:
        if run.released and not seen:
            seen.append(run.snapshot())

    await play(await begin(), ScriptedDispatcher(["# T\n\nbody", 0.1, END], ["as long..", 0.1, END]), look)
    resets, frame = seen[0][:2], seen[0][2][1]
    assert [name for name, _ in resets] == ["reset", "reset"]
    assert frame["a"]["blocks"] == ["<h1>T</h1>\n"] or "T" in frame["a"]["blocks"][0]
    assert frame["a"]["tail"] == "body"


async def test_losing_the_lease_drops_the_work() -> None:
    turn = await begin()

    async def steal() -> None:
        await Turn.objects.filter(pk=turn.pk).aupdate(lease_owner="somebody else")

    class Thief(ScriptedDispatcher):
        async def stream(self, wanted: Wanted) -> AsyncIterator[object]:
            await steal()
            yield Opened(UUID(int=1))
            yield Text("ghost")
            yield END

    with pytest.raises(turns.LeaseLost):
        await play(turn, Thief([], []))
    assert not await turn.replies.filter(message__isnull=False).aexists()


async def test_a_database_that_is_away_for_a_moment_costs_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    turn, finish, failures = await begin(), turns.finish, iter([True, False])

    def flaky(*arguments: object) -> object:
        if next(failures):
            raise OperationalError("server closed the connection")
        return finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(turns, "finish", flaky)
    played = await play(turn, ScriptedDispatcher(["x", END], ["y", END]))
    assert played.battle.state == BattleState.READY


async def test_the_status_is_that_of_the_side_which_waits_longer() -> None:
    script_a = [Queued(2, 4.0), 0.1, Queued(1, 2.0), 0.1, "x", END]
    played = await play(await begin(), ScriptedDispatcher(script_a, [0.05, Queued(7, 30.0), 0.3, "y", END]))
    positions = [data["position"] for name, data in played.told if name == "status" and data["state"] == "queued"]
    assert positions == [2, 7, 7]


async def test_one_huge_delta_cannot_pass_the_bound(settings: object) -> None:
    settings.REPLY_MAX_CHARS = 1000
    await play(await begin(), ScriptedDispatcher(["x" * 50_000, 60.0], ["y", END]))
    reply = await Reply.objects.select_related("message").aget(side="a")
    assert len(reply.message.text) == 1000
