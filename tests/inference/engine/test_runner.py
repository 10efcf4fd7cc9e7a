"""The engine thread and its hand-over to asyncio, without HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from inference.engine import runner as runner_module
from inference.engine.errors import ApiError
from inference.engine.runner import Runner
from inference.engine.sequence import SamplingParams, Sequence, StepOutput
from inference.engine.text import ChatMessage, ChatText
from inference.scheduler.protocol import PAIR_HOLD_S, Request
from inference.scheduler.registry import make_scheduler
from tests.inference.engine.fake_core import FakeCore
from tests.inference.engine.serving import until
from tests.inference.engine.tiny_text import END, make_text


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> ChatText:
    return ChatText(make_text(tmp_path_factory.mktemp("text")))


@pytest.fixture
async def runner(text: ChatText) -> AsyncIterator[Runner]:
    scheduler = make_scheduler()
    made = Runner(FakeCore(scheduler, text), scheduler)
    made.start()
    yield made
    await made.stop()


def sequence(text: ChatText, name: str, prompt: str = "say(abc)", max_tokens: int = 500, **fields: object) -> Sequence:
    ids = text.prompt_ids([ChatMessage("user", prompt)])
    params = SamplingParams(max_tokens=max_tokens, stop_token_ids=(END,))
    return Sequence(name, ids, params, None, Request(name, client=name, input_len=len(ids), **fields))  # type: ignore[arg-type]


async def outputs(runner: Runner, seq: Sequence) -> list[StepOutput]:
    ticket = await runner.submit(seq)
    found: list[StepOutput] = []
    while not found or found[-1].finish_reason is None:
        found += (await ticket.news()).outputs
    return found


def core_of(runner: Runner) -> FakeCore:
    core = runner._core
    assert isinstance(core, FakeCore)
    return core


async def test_outputs_arrive_in_order_and_once(runner: Runner, text: ChatText) -> None:
    found = await outputs(runner, sequence(text, "r", "say(hello)"))
    ids = [token for output in found for token in output.token_ids]
    assert text.decode(ids) == "hello"
    assert ids[-1] == END
    assert runner.open == set()


async def test_one_wake_up_of_the_loop_per_step(
    runner: Runner, text: ChatText, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes = 0
    real = runner._loop.call_soon_threadsafe

    def counted(*args: object) -> object:
        nonlocal wakes
        wakes += threading.current_thread().name == "engine" and "_send" in repr(args[0])
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(runner._loop, "call_soon_threadsafe", counted)
    core = core_of(runner)
    core.slots = 20
    await asyncio.gather(*(outputs(runner, sequence(text, f"r{i}", "count", 30)) for i in range(20)))
    assert 30 <= wakes <= core.steps, "20 sequences of 30 tokens are 600 outputs"


async def test_an_idle_engine_computes_nothing_and_a_held_half_wakes_it(runner: Runner, text: ChatText) -> None:
    await asyncio.sleep(0.05)
    assert runner.steps == 0
    began = time.monotonic()
    await outputs(runner, sequence(text, "half", pair="turn", pair_size=2))
    assert time.monotonic() - began >= PAIR_HOLD_S
    assert runner.steps <= 4 + 3, "no busy waiting while the half is held"


async def test_a_submit_that_is_cancelled_leaves_nothing(text: ChatText) -> None:
    scheduler = make_scheduler()
    core = FakeCore(scheduler, text, step_s=0.05)
    runner = Runner(core, scheduler)
    runner.start()
    await runner.submit(sequence(text, "first", "count"))
    task = asyncio.create_task(runner.submit(sequence(text, "second", "count")))
    await asyncio.sleep(0)
    task.cancel()
    await until(lambda: runner.steps >= 3)
    assert "second" not in core.running
    assert scheduler.waiting() == 0
    await runner.stop()


async def test_a_hanging_step_is_seen(text: ChatText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "STALL_S", 0.1)
    monkeypatch.setattr(runner_module, "SUBMIT_TIMEOUT_S", 0.1)
    scheduler = make_scheduler()
    runner = Runner(FakeCore(scheduler, text, step_s=0.6), scheduler)
    runner.start()
    await runner.submit(sequence(text, "first", "count", 1))
    assert runner.state() == "ok"
    await until(lambda: runner.state() == "stalled")
    with pytest.raises(ApiError, match="does not answer"):
        await runner.submit(sequence(text, "second"))
    await until(lambda: runner.state() == "ok")
    assert not await runner.drained(0.0) or runner.open == set()
    await runner.stop()


async def test_the_thread_dies_and_everybody_hears_of_it(runner: Runner, text: ChatText) -> None:
    ticket = await runner.submit(sequence(text, "r", "count", 1900))
    core = core_of(runner)
    core.step = lambda now: (_ for _ in ()).throw(SystemExit("gone"))  # type: ignore[method-assign]
    with pytest.raises(ApiError, match="the engine thread died"):
        while True:
            await ticket.news()
    assert runner.state() == "broken"
    with pytest.raises(ApiError, match="broken"):
        await runner.submit(sequence(text, "s"))


async def test_calls_run_in_the_engine_thread(runner: Runner) -> None:
    assert await runner.call(lambda: threading.current_thread().name) == "engine"
    with pytest.raises(ZeroDivisionError):
        await runner.call(lambda: 1 // 0)
