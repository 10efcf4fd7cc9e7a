"""Dispatch against our own engine in its own process, with a tiny random model: the contract from both ends."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from inference.dispatch import Dispatcher
from inference.events import Finished, GenerationFailed, Queued, Text
from inference.probe import probe_all
from inference.target import Target, Timeouts
from tests.inference.engine.tiny import make_adapter, make_model
from tests.inference.engine.tiny_text import VOCAB, make_text
from tests.inference.serving import collect, opened, target, text_of, wanted

PROJECT = Path(__file__).resolve().parents[2]
PATIENT = Timeouts(connect_s=10, first_token_s=60, idle_s=60, total_s=120)
SAMPLING = {"temperature": 1.0, "top_p": 0.9, "top_k": 50, "max_tokens": 24}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Base URL and key of a running engine that serves `tiny` and its adapter `odd`, two at a time."""
    folder = tmp_path_factory.mktemp("e")
    model = make_text(make_model(folder / "tiny", vocab_size=VOCAB, max_position_embeddings=512))
    make_adapter(folder / "adapters" / "odd", seed=5)
    socket, key = folder / "s", folder / "key"
    command = [sys.executable, "-m", "inference.engine", "--model", str(model), "--uds", str(socket), "--threads", "1"]
    command += ["--adapters-dir", str(folder / "adapters"), "--key-file", str(key), "--max-running", "2"]
    command += ["--max-waiting-per-client", "2", "--pool-mb", "16", "--drain-timeout", "0.5"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "ready" in line, f"the engine did not start: {line!r}"
        yield f"unix://{socket}", key.read_text().strip()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@asynccontextmanager
async def dispatching(engine: tuple[str, str], **fields: object) -> AsyncIterator[Dispatcher]:
    url, key = engine
    ours = {"key": key, "has_scheduler": True, "accepts_extras": True, "timeouts": PATIENT} | fields
    base = target(url, "tiny", **ours)
    odd = target(url, "odd", adapter="odd", **ours)

    async def load() -> list[Target]:
        return [base, odd]

    async with Dispatcher(load) as dispatcher:
        yield dispatcher


async def test_an_answer_with_its_counts(engine: tuple[str, str]) -> None:
    async with dispatching(engine) as dispatcher:
        events = await collect(dispatcher.stream(wanted(sampling=SAMPLING, pair="t", pair_size=1, session_id="s")))
    assert opened(events)
    assert text_of(events)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.tokens_in > 5
    assert 1 <= finished.tokens_out <= 24


async def test_the_same_seed_says_the_same_and_an_adapter_something_else(engine: tuple[str, str]) -> None:
    async with dispatching(engine) as dispatcher:
        said = [
            text_of(await collect(dispatcher.stream(wanted(sampling=SAMPLING, seed=seed, adapter=adapter))))
            for seed, adapter in [(3, None), (3, None), (4, None), (3, "odd")]
        ]
    assert said[0] == said[1]
    assert len(set(said)) == 3


async def test_both_sides_of_a_battle(engine: tuple[str, str]) -> None:
    async with dispatching(engine) as dispatcher:
        sides = [
            collect(dispatcher.stream(wanted(sampling=SAMPLING, adapter=adapter, pair="turn", pair_size=2)))
            for adapter in (None, "odd")
        ]
        results = await asyncio.gather(*sides)
    assert all(isinstance(events[-1], Finished) for events in results)


async def test_a_client_with_too_many_waiting_is_told_so(engine: tuple[str, str]) -> None:
    async with dispatching(engine) as dispatcher:
        streams = [collect(dispatcher.stream(wanted(sampling=SAMPLING | {"max_tokens": 200}))) for _ in range(12)]
        results = await asyncio.gather(*streams, return_exceptions=True)
    refused = [result for result in results if isinstance(result, GenerationFailed)]
    assert refused
    assert {failed.code for failed in refused} == {"busy"}
    assert all(failed.retry_after_s > 0 for failed in refused)
    assert sum(isinstance(result, list) for result in results) >= 2


async def test_who_waits_is_told_his_place(engine: tuple[str, str]) -> None:
    async def place_of(dispatcher: Dispatcher, number: int) -> Queued | None:
        request = wanted(sampling=SAMPLING | {"max_tokens": 400}, client=f"c{number}", seed=number)
        async with aclosing(dispatcher.stream(request)) as events:
            async for event in events:
                if isinstance(event, Queued):
                    return event
        return None

    async with dispatching(engine) as dispatcher:
        waiting = [asyncio.create_task(place_of(dispatcher, number)) for number in range(200)]  # seconds of work
        for next_one in asyncio.as_completed(waiting):
            queued = await next_one
            if queued is not None:
                break
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert queued is not None
    assert queued.position >= 1


async def test_leaving_frees_the_engine(engine: tuple[str, str]) -> None:
    async with dispatching(engine) as dispatcher:
        for _ in range(4):
            stream = dispatcher.stream(wanted(sampling=SAMPLING | {"max_tokens": 400}))
            async for event in stream:
                if isinstance(event, Text):
                    break
            await stream.aclose()
        assert isinstance((await collect(dispatcher.stream(wanted(sampling=SAMPLING))))[-1], Finished)


@pytest.mark.parametrize(
    ("change", "fields"),
    [({"key": "wrong-key"}, {}), ({"upstream": "nobody"}, {}), ({}, {"prompt": "x" * 5000})],
    ids=["key", "model", "context"],
)
async def test_what_the_engine_refuses_is_rejected(engine: tuple[str, str], change: dict, fields: dict) -> None:
    url, key = engine
    place = target(url, **{"upstream": "tiny", "key": key, "has_scheduler": True, "timeouts": PATIENT} | change)

    async def load() -> list[Target]:
        return [place]

    async with Dispatcher(load) as dispatcher:
        with pytest.raises(GenerationFailed) as failed:
            await collect(dispatcher.stream(wanted(sampling=SAMPLING, **fields)))
    assert failed.value.code == "rejected"


async def test_the_operators_test_reply(engine: tuple[str, str]) -> None:
    url, key = engine
    (result,) = await probe_all([target(url, "tiny", key=key, accepts_extras=True, timeouts=PATIENT)])
    assert (result.code, result.said) == ("", "")
    assert result.text
    assert 0 < result.first_text_s <= result.total_s
    assert result.tokens_out >= 1
