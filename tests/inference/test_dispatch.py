"""Choice of deployment, failover, circuits, rate limits, and the list of deployments."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inference.dispatch import Dispatcher, DispatchLimits
from inference.events import Event, Queued
from inference.target import Target, Timeouts
from tests.inference.dispatching import dispatching, failure
from tests.inference.serving import collect, opened, target, text_of, wanted
from tests.stub_engine import SECRET_ACCOUNT, StubEngine


@pytest.fixture(scope="module")
def stub() -> Iterator[StubEngine]:
    with StubEngine(tick_ms=10) as running:
        yield running


@pytest.fixture
def url(stub: StubEngine) -> str:
    stub.reset()
    return f"{stub.url}/v1"


async def test_the_preferred_deployment_answers(url: str) -> None:
    second, first = target(url, "stub-fast?n=2", priority=20), target(url, "stub-fast?n=1", priority=10)
    async with dispatching(second, first) as dispatcher:
        events = await collect(dispatcher.stream(wanted()))
    assert opened(events) == [first.deployment_id]
    assert text_of(events) == "w1 "


async def test_model_and_adapter_choose(url: str) -> None:
    base = target(url, "stub-fast?n=1")
    adapted = target(url, "stub-fast?n=2", adapter="pirate")
    async with dispatching(base, adapted) as dispatcher:
        assert opened(await collect(dispatcher.stream(wanted(adapter="pirate")))) == [adapted.deployment_id]
        assert (await failure(dispatcher, adapter="laconic")).code == "no_deployment"
        assert (await failure(dispatcher, model="other")).code == "no_deployment"


@pytest.mark.parametrize(
    "fault",
    ["stub-500", "stub-drop", "stub-empty", "stub-503", "stub-html", "stub?fault=truncate&after=0", "stub-hang"],
)
async def test_failover_before_the_first_text_is_silent(stub: StubEngine, url: str, fault: str) -> None:
    bad, good = target(url, fault, priority=1), target(url, "stub-fast?n=3")
    async with dispatching(bad, good) as dispatcher:
        events = await collect(dispatcher.stream(wanted(seed=99)))
    assert text_of(events) == "w1 w2 w3 "
    assert opened(events)[-1] == good.deployment_id
    assert {request["body"]["seed"] for request in stub.requests()} == {99}


async def test_nothing_is_retried_after_text(stub: StubEngine, url: str) -> None:
    bad = target(url, "stub?fault=truncate&after=2&rate=50", priority=1)
    async with dispatching(bad, target(url)) as dispatcher:
        failed = await failure(dispatcher)
    assert (failed.code, failed.after_text) == ("truncated", True)
    assert stub.stats()["requests"] == 1


async def test_the_last_failure_is_told_when_all_fail(url: str) -> None:
    async with dispatching(target(url, "stub-500", priority=1), target(url, "stub-empty")) as dispatcher:
        failed = await failure(dispatcher)
    assert (failed.code, failed.after_text) == ("bad_response", False)


async def test_attempts_are_bounded(stub: StubEngine, url: str) -> None:
    async with dispatching(*[target(url, "stub-500") for _ in range(6)], attempts=3) as dispatcher:
        assert (await failure(dispatcher)).code == "server_error"
    assert stub.stats()["requests"] == 3


async def test_a_circuit_opens_and_closes_again(stub: StubEngine, url: str) -> None:
    only = target(url, "stub?fault=500&times=3&n=1&rate=0")
    async with dispatching(only, failures=3, circuit_s=0.3) as dispatcher:
        for _ in range(3):
            await failure(dispatcher)
        refused = await failure(dispatcher)
        assert refused.code == "server_error"
        assert 0 < refused.retry_after_s <= 0.3
        assert stub.stats()["requests"] == 3
        await asyncio.sleep(0.35)
        assert text_of(await collect(dispatcher.stream(wanted()))) == "w1 "
        assert text_of(await collect(dispatcher.stream(wanted()))) == "w1 "


async def test_one_request_tries_a_half_open_circuit(stub: StubEngine, url: str) -> None:
    only = target(url, "stub?fault=500&times=1&n=1&rate=0&first_delay=0.2")
    async with dispatching(only, failures=1, circuit_s=0.1) as dispatcher:
        await failure(dispatcher)
        await asyncio.sleep(0.15)
        results = await asyncio.gather(
            *[collect(dispatcher.stream(wanted())) for _ in range(5)], return_exceptions=True
        )
    assert sum(isinstance(result, list) for result in results) == 1
    assert stub.stats()["requests"] == 2


async def test_answers_that_always_break_off_open_the_circuit_too(stub: StubEngine, url: str) -> None:
    async with dispatching(target(url, "stub?fault=truncate&after=1&rate=50"), failures=2) as dispatcher:
        for _ in range(2):
            assert (await failure(dispatcher)).after_text
        refused = await failure(dispatcher)
    assert (refused.code, refused.after_text) == ("truncated", False)
    assert stub.stats()["requests"] == 2


async def test_a_rejected_request_says_nothing_about_health(url: str) -> None:
    async with dispatching(target(url, "stub?nonsense=1"), failures=1) as dispatcher:
        for _ in range(3):
            assert (await failure(dispatcher)).retry_after_s == 0


async def test_429_waits_as_long_as_it_was_told(url: str) -> None:
    only = target(url, "stub?fault=429&times=1&retry_after=1&n=1&rate=0")
    start = time.monotonic()
    async with dispatching(only) as dispatcher:
        events = await collect(dispatcher.stream(wanted()))
    assert text_of(events) == "w1 "
    assert time.monotonic() - start >= 1.0
    news = [event for event in events if isinstance(event, Queued)]
    assert news
    assert 0 < news[0].eta_s <= 1.0


async def test_429_prefers_another_deployment_to_waiting(url: str) -> None:
    start = time.monotonic()
    refusing = target(url, "stub?fault=429&retry_after=15", priority=1)
    async with dispatching(refusing, target(url)) as dispatcher:
        await collect(dispatcher.stream(wanted()))
        assert time.monotonic() - start < 12
        events = await collect(dispatcher.stream(wanted()))  # the pause is remembered
    assert len(opened(events)) == 1


@pytest.mark.parametrize(
    ("upstream", "most"), [("stub?fault=429&retry_after=60", 1), ("stub?fault=429&retry_after=0", 3)]
)
async def test_429_is_not_waited_for_too_long_or_too_often(
    stub: StubEngine, url: str, upstream: str, most: int
) -> None:
    async with dispatching(target(url, upstream), retry_after_s=0.1 if most == 1 else 5) as dispatcher:
        failed = await failure(dispatcher)
    assert failed.code == "rate_limited"
    assert failed.retry_after_s == (60 if most == 1 else 0)
    assert stub.stats()["requests"] == most


async def test_changes_of_the_list_are_seen_within_refresh_s(url: str) -> None:
    targets = [target(url, "stub-fast?n=1")]
    loads = 0

    async def load() -> list[Target]:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        return list(targets)

    async with Dispatcher(load, DispatchLimits(refresh_s=0.1)) as dispatcher:
        await asyncio.gather(*[collect(dispatcher.stream(wanted())) for _ in range(5)])
        assert loads == 1
        targets[0] = replace(targets[0], upstream_name="stub-fast?n=2")
        await asyncio.sleep(0.12)
        assert text_of(await collect(dispatcher.stream(wanted()))) == "w1 w2 "
        targets.clear()
        await asyncio.sleep(0.12)
        assert (await failure(dispatcher)).code == "no_deployment"
        assert not dispatcher._lanes


async def test_a_list_that_cannot_be_read_leaves_the_old_one(url: str, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[object] = [[target(url, "stub-fast?n=1")], RuntimeError("no database"), "hang"]

    async def load() -> list[Target]:
        answer = answers.pop(0)
        if answer == "hang":
            await asyncio.sleep(60)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with Dispatcher(load, DispatchLimits(refresh_s=0, load_timeout_s=0.1)) as dispatcher:
        for _ in range(3):
            assert text_of(await collect(dispatcher.stream(wanted()))) == "w1 "
    assert "could not be read" in caplog.text


async def test_logs_hold_no_words_of_provider_or_person(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with dispatching(target(url, "stub-500", key="sk-secret-12345678")) as dispatcher:
        await failure(dispatcher, prompt="my private words")
    assert "server_error (status 500)" in caplog.text
    for secret in (SECRET_ACCOUNT, "private words", "sk-secret"):
        assert secret not in caplog.text


async def test_a_unix_socket_endpoint(tmp_path: Path) -> None:
    from tests.inference.serving import scripted, server

    body = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    async with server(scripted(body), unix=str(tmp_path / "s")) as base, dispatching(target(base)) as dispatcher:
        events: list[Event] = await collect(dispatcher.stream(wanted()))
    assert text_of(events) == "Hi"


@pytest.mark.slow
async def test_twelve_hundred_streams_at_once(stub: StubEngine, url: str) -> None:
    """600 open turns have 1,200 streams: no bound of ours is below that, and nobody is served later than the others."""
    many = target(url, "stub?n=30&rate=10", has_scheduler=True, timeouts=Timeouts())
    async with dispatching(many) as dispatcher:
        results = await asyncio.gather(*[collect(dispatcher.stream(wanted(client=f"c{i}"))) for i in range(1200)])
    assert stub.stats()["peak"] == 1200
    assert {text_of(events) for events in results} == {"".join(f"w{i + 1} " for i in range(30))}


def test_the_limit_of_open_files_is_raised() -> None:
    code = (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (256, 700))\n"
        "from inference.open_files import allow\n"
        "print(allow(600), allow(100), allow(5000), r.getrlimit(r.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(None, 3) == ["600", "600", "700", "(700, 700)\n"]
    assert "only 700 open files are allowed, 5000 are wanted" in done.stderr
