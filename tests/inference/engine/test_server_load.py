"""The engine's HTTP side under load and in trouble: waiting, clients that leave, failures, drains, metrics."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inference.engine import serve
from inference.scheduler.protocol import PAIR_HOLD_S
from tests.inference.engine.serving import Answer, Client, serving, until
from tests.inference.engine.tiny_text import make_text


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text(tmp_path_factory.mktemp("text"))


@pytest.fixture
async def engine(directory: Path, tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(directory, tmp_path / "e.sock", adapters=("pirate",)) as client:
        yield client


async def test_the_waiting_bound_gives_503_with_retry_after(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", slots=1, max_waiting_per_client=2, step_s=0.01) as engine:
        held = [await engine.open("count", vllm_xargs={"client": "flood"}) for _ in range(3)]
        answer = await engine.ask("say(x)", vllm_xargs={"client": "flood"})
        assert (answer.status, answer.error["code"]) == (503, "queue_full")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.error["type"] == "overloaded_error"
        for stream in held:
            stream.close()
        assert (await engine.ask("say(x)", vllm_xargs={"client": "flood"})).text == "x"


async def test_a_shed_request_is_told_so_in_its_stream(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", slots=1, max_waiting=2, step_s=0.01) as engine:
        running = await engine.open("count")
        flood = {"client": "flood", "group": "g"}
        waiting = [asyncio.create_task(engine.ask("count", vllm_xargs=flood, max_tokens=3)) for _ in range(2)]
        await until(lambda: len(engine.core.waiting) == 2)
        quiet = asyncio.create_task(engine.ask("say(x)", vllm_xargs={"client": "quiet", "group": "h"}))
        await until(lambda: any(task.done() for task in waiting))
        shed = next(task.result() for task in waiting if task.done())
        assert shed.error["code"] == "shed"
        assert shed.status == 503 or shed.comments, "a 503, or an error event once queue comments have been sent"
        running.close()
        assert (await quiet).text == "x"
        await asyncio.gather(*waiting)


async def test_the_quiet_network_is_never_shed(directory: Path, tmp_path: Path) -> None:
    """Of the largest network the largest client: neither who is alone in it, nor the large client of a smaller network."""
    async with serving(directory, tmp_path / "e.sock", slots=1, max_waiting=7, step_s=0.005) as engine:
        running = await engine.open("count", max_tokens=1900)

        def ask(client: str, group: str) -> asyncio.Task[Answer]:
            return asyncio.create_task(engine.ask("say(x)", vllm_xargs={"client": client, "group": group}))

        crowd = [ask("flood", "crowd") for _ in range(3)] + [ask("bystander", "crowd")]
        home = [ask("home", "home") for _ in range(3)]
        await until(lambda: len(engine.core.waiting) == 7)
        late = [ask("late", "flat")]
        await until(lambda: any(task.done() for task in crowd))
        late += [ask("later", "house")]
        await until(lambda: sum(task.done() for task in (*crowd, *home)) == 2)
        shed = [task.result() for task in (*crowd, *home) if task.done()]
        assert [answer.error["code"] for answer in shed] == ["shed", "shed"]
        assert all(
            answer.status == 503 and int(answer.headers["Retry-After"]) >= 1 for answer in shed if not answer.comments
        )
        assert not crowd[3].done() and not any(task.done() for task in late)
        running.close()
        assert [task.result().error["code"] for task in crowd[:3] if task.done()][:1] == ["shed"]
        answers = await asyncio.gather(*crowd, *home, *late)
        assert sum(answer.status == 200 and answer.text == "x" for answer in answers) == 7
        assert (answers[3].text, answers[-1].text, answers[-2].text) == ("x", "x", "x")


@pytest.mark.parametrize("policy", ["fcfs", "vtc_locality_credibility"])
async def test_early_abort_is_a_503_and_in_a_stream_that_has_begun_its_last_event(
    directory: Path, tmp_path: Path, policy: str
) -> None:
    limits = {"name": policy, "slo_s": 0.5, "slo_margin_s": 0.1, "slots": 1, "step_s": 0.005}
    async with serving(directory, tmp_path / "e.sock", **limits) as engine:
        running = await engine.open("count", max_tokens=1900)
        began = asyncio.get_running_loop().time()
        answer = await engine.ask("say(x)", stream=False, vllm_xargs={"client": "late"})
        waited = asyncio.get_running_loop().time() - began
        assert (answer.status, answer.error["code"], answer.error["type"]) == (503, "expired", "overloaded_error")
        assert int(answer.headers["Retry-After"]) >= 1
        assert 0.35 <= waited < 2, "dropped when its first token could not come within the objective any more"
        engine.app.runner._next_tick = 0.0  # its place is told at once: headers are out when it is dropped
        streamed = await engine.ask("say(x)", vllm_xargs={"client": "later"})
        assert streamed.comments or streamed.status == 503
        assert streamed.error["code"] == "expired"
        assert not engine.core.waiting
        running.close()
        assert (await engine.ask("say(x)", vllm_xargs={"client": "late"})).text == "x"
        page = (await engine.get("/metrics")).raw
        assert 'requests_total{outcome="expired"} 2' in page


async def test_half_a_pair_waits_at_most_50_ms_and_a_pair_starts_together(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", slots=3, step_s=0.005) as engine:
        half = {"client": "c", "pair": "turn", "pair_size": 2}
        began = asyncio.get_running_loop().time()
        assert (await engine.ask("say(x)", vllm_xargs=half)).text == "x"
        assert PAIR_HOLD_S <= asyncio.get_running_loop().time() - began < PAIR_HOLD_S + 1
        running = [await engine.open("count", max_tokens=1900, vllm_xargs={"client": "o"}) for _ in range(2)]
        await until(lambda: len(engine.core.running) == 2)
        both = [asyncio.create_task(engine.ask("say(x)", vllm_xargs={**half, "pair": "next"})) for _ in range(2)]
        await until(lambda: len(engine.core.waiting) == 2)
        await asyncio.sleep(PAIR_HOLD_S + 0.05)
        assert len(engine.core.waiting) == 2, "one place is free, the pair needs two"
        running[0].close()
        assert [answer.text for answer in await asyncio.gather(*both)] == ["x", "x"]
        first, second = engine.core.seen[-2:]
        assert {first.request.pair, second.request.pair} == {"next"}
        running[1].close()


async def test_a_waiting_request_is_told_its_place(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", slots=1, step_s=0.005) as engine:
        running = await engine.open("count", max_tokens=1900)
        waiting = [asyncio.create_task(engine.ask(f"say({i})", vllm_xargs={"client": f"c{i}"})) for i in range(2)]
        await asyncio.sleep(2.3)
        running.close()
        answers = await asyncio.gather(*waiting)
        assert [answer.text for answer in answers] == ["0", "1"]
        places = [[re.fullmatch(r": queued position=(\d+) eta_s=\d+\.\d", c) for c in a.comments] for a in answers]
        assert all(all(found) and 2 <= len(found) <= 3 for found in places), "at most once a second"
        assert {match[1] for match in places[0] if match} == {"1"}
        assert {match[1] for match in places[1] if match} == {"2"}


async def test_a_request_that_starts_at_once_has_no_queue_comment(engine: Client) -> None:
    assert (await engine.ask()).comments == []


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_aborts(directory: Path, tmp_path: Path, stream: bool) -> None:
    async with serving(directory, tmp_path / "e.sock", step_s=0.005) as engine:
        task = asyncio.create_task(engine.ask("count", stream=stream, max_tokens=1900))
        await until(lambda: engine.core.running)
        task.cancel()
        await until(lambda: not engine.core.running, 2.0)
        assert engine.core.aborted == [engine.core.seen[0].id]
        assert engine.core.stats()["pages_used"] == 0
        await until(lambda: engine.app.metrics.outcomes["aborted"] == 1)


async def test_a_waiting_client_that_leaves_is_forgotten(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", slots=1, step_s=0.005) as engine:
        running = await engine.open("count", max_tokens=1900)
        task = asyncio.create_task(engine.ask("say(x)"))
        await until(lambda: engine.core.waiting)
        task.cancel()
        await until(lambda: not engine.core.waiting, 2.0)
        running.close()


async def test_a_failing_step_fails_what_ran_and_nothing_else(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", slots=1) as engine:
        failed, after = await asyncio.gather(engine.ask("boom(step)"), engine.ask("say(fine)"))
        assert (failed.status, failed.error["type"]) == (500, "server_error")
        assert "step exploded" in failed.error["message"]
        assert after.text == "fine"
        assert json.loads((await engine.get("/health")).raw)["status"] == "ok"


async def test_failures_of_one_request(engine: Client) -> None:
    for prompt in ("boom(add)", "boom(scores)"):
        answer = await engine.ask(prompt)
        assert (answer.status, answer.error["code"]) == (500, "engine_error")
    assert (await engine.ask("say(fine)")).text == "fine"


async def test_an_error_after_the_first_token_is_the_last_event(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", step_s=0.005) as engine:
        task = asyncio.create_task(engine.ask("count", max_tokens=1900))
        await until(lambda: engine.core.running and next(iter(engine.core.running.values())).output_ids)
        await engine.ask("boom(step)")
        answer = await task
        assert answer.status == 200
        assert answer.text.startswith("01")
        assert answer.error["code"] == "engine_error"
        assert "[DONE]" not in answer.raw


@pytest.mark.parametrize("prompts", [["boom(step)"] * 3, ["boom(step) boom(abort)"]])
async def test_a_broken_engine_says_so_and_ends(
    directory: Path, tmp_path: Path, prompts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "BROKEN_S", 0.5)
    async with serving(directory, tmp_path / "e.sock", slots=1) as engine:
        await asyncio.gather(*(engine.ask(prompt) for prompt in prompts))
        health = await engine.get("/health")
        assert health.status == 503
        assert json.loads(health.raw)["status"] == "broken"
        assert "exploded" in json.loads(health.raw)["reason"]
        answer = await engine.ask("say(x)")
        assert (answer.status, answer.error["code"]) == (503, "engine_broken")
        await asyncio.wait_for(engine.task, 5)  # it ends by itself, to be started afresh


async def test_draining_finishes_what_runs_and_refuses_the_rest(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", step_s=0.01) as engine:
        running = asyncio.create_task(engine.ask("count", max_tokens=60))
        await until(lambda: engine.core.running)
        engine.server.handle_exit(15, None)
        await until(lambda: engine.app.draining)
        health = await engine.get("/health")
        assert (health.status, json.loads(health.raw)["status"]) == (503, "draining")
        refused = await engine.ask("say(x)")
        assert (refused.status, refused.error["code"]) == (503, "draining")
        assert "Retry-After" in refused.headers
        answer = await running
        assert (len(answer.text), answer.finish) == (60, "length")
        await asyncio.wait_for(engine.task, 5)


async def test_a_drain_has_an_end(directory: Path, tmp_path: Path) -> None:
    async with serving(directory, tmp_path / "e.sock", step_s=0.01, drain_timeout_s=0.2) as engine:
        running = asyncio.create_task(engine.ask("count", max_tokens=1900))
        await until(lambda: engine.core.running)
        engine.server.handle_exit(15, None)
        answer = await running
        assert answer.error["code"] == "draining"
        await asyncio.wait_for(engine.task, 5)


async def test_metrics_are_aggregates_in_prometheus_format(engine: Client) -> None:
    await engine.ask("say(abc)", vllm_xargs={"client": "secret-client", "group": "secret-group"})
    await engine.ask(model="nope")
    page = (await engine.get("/metrics")).raw
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'agon_engine_[a-z_]+(\{(le|outcome)="[^"]+"\})? [0-9.e+-]+', line) for line in lines)
    assert 'agon_engine_requests_total{outcome="stop"} 1' in lines
    assert 'agon_engine_requests_total{outcome="bad_request"} 1' in lines
    assert "agon_engine_completion_tokens_total 4" in lines
    assert "agon_engine_clients 1" in lines
    assert "agon_engine_core_pages_used 0" in lines
    assert 'agon_engine_time_to_first_token_seconds_bucket{le="+Inf"} 1' in lines
    assert 'agon_engine_queue_wait_seconds_bucket{le="+Inf"} 1' in lines
    for name, value in {"admissions": 1, "refused": 0, "shed": 0, "expired": 0}.items():
        assert f"agon_engine_queue_{name}_total {value}" in lines
    for name in ("waiting_units", "waiting_clients", "counter_spread"):
        assert f"agon_engine_{name} 0" in lines
    assert "secret" not in page


async def test_many_streams_at_once(directory: Path, tmp_path: Path) -> None:
    """No reply is mixed up with another, and one step wakes the event loop once for all of them."""
    async with serving(directory, tmp_path / "e.sock", slots=64) as engine:
        asks = [engine.ask(f"say({'word' * 5} {i})", vllm_xargs={"client": f"c{i}"}) for i in range(200)]
        answers = await asyncio.gather(*asks)
        assert [answer.text for answer in answers] == [f"{'word' * 5} {i}" for i in range(200)]
