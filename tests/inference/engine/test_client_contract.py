"""The product's own client and the product's own engine agree on every word of the contract."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from inference.client import Client, UpstreamFailed
from inference.events import Event, Finished, Queued, Text, Wanted
from inference.target import Target
from tests.inference.engine.serving import KEY, MODEL, serving, until
from tests.inference.engine.tiny_text import make_text


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text(tmp_path_factory.mktemp("text"))


def target(uds: Path, upstream: str = MODEL) -> Target:
    return Target(uuid4(), MODEL, None, upstream, f"unix://{uds}", KEY, accepts_extras=True, has_scheduler=True)


def wanted(prompt: str, **fields: Any) -> Wanted:
    sampling = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "max_tokens": 1500, "stop": ["###"]}
    plain = {"client": "visitor", "group": "net", "session_id": "s", "cache_salt": "salt", "seed": 3}
    return Wanted(MODEL, None, [{"role": "user", "content": prompt}], sampling, **{**plain, **fields})


async def collect(client: Client, place: Target, what: Wanted) -> list[Event]:
    return [event async for event in client.stream(place, what)]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


async def test_an_answer_with_every_field(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock") as engine, Client() as client:
        what = wanted("say(so it is ### not this)", pair="turn", pair_size=2)
        answers = await asyncio.gather(*(collect(client, target(tmp_path / "e.sock"), what) for _ in range(2)))
        assert [text_of(events) for events in answers] == ["so it is "] * 2
        prompt_tokens = len(engine.core.seen[0].prompt_ids)
        assert answers[0][-1] == Finished("stop", prompt_tokens, len("so it is ###"))
        params, request = engine.core.seen[0].params, engine.core.seen[0].request
        assert (params.top_k, params.top_p, params.seed, params.max_tokens) == (40, 0.9, 3, 1500)
        assert (request.client, request.group, request.pair) == ("visitor", "net", "turn")


async def test_waiting_is_told_and_leaving_aborts(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", slots=1, step_s=0.005) as engine, Client() as client:
        place = target(tmp_path / "e.sock")
        first = asyncio.create_task(collect(client, place, wanted("count")))
        await until(lambda: engine.core.running)
        second = asyncio.create_task(collect(client, place, wanted("say(at last)")))
        await until(lambda: engine.core.waiting)
        await asyncio.sleep(0.1)
        first.cancel()
        events = await second
        queued = [event for event in events if isinstance(event, Queued)]
        assert queued[0].position == 1
        assert queued[0].eta_s is not None
        assert text_of(events) == "at last"
        assert len(engine.core.aborted) == 1


async def test_refusals_have_the_clients_words(directory: Path, tmp_path: Path) -> None:
    bounds = {"slots": 1, "max_waiting_per_client": 1, "step_s": 0.005}
    async with serving(directory, tmp_path / "e.sock", **bounds) as engine, Client() as client:
        place = target(tmp_path / "e.sock")
        with pytest.raises(UpstreamFailed) as failed:
            await collect(client, target(tmp_path / "e.sock", "unknown"), wanted("hi"))
        assert (failed.value.code, failed.value.status) == ("rejected", 404)
        tasks = [asyncio.create_task(collect(client, place, wanted("count")))]
        await until(lambda: engine.core.running)
        tasks.append(asyncio.create_task(collect(client, place, wanted("count"))))
        await until(lambda: engine.core.waiting)
        with pytest.raises(UpstreamFailed) as failed:
            await collect(client, place, wanted("hi"))
        assert (failed.value.code, failed.value.status) == ("busy", 503)
        assert failed.value.retry_after_s >= 1
        for task in tasks:
            task.cancel()
        await until(lambda: not engine.core.running and not engine.core.waiting)
        with pytest.raises(UpstreamFailed) as failed:
            await collect(client, place, wanted("boom(scores)"))
        assert failed.value.code == "server_error"
