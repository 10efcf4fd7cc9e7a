"""Choice of deployment, failover, circuits, and the queue in front of endpoints without a scheduler."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from inference.dispatch import Dispatcher, DispatchLimits
from inference.events import Event, Finished, GenerationFailed, Opened, Queued, Text
from inference.target import Target, Timeouts
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


@asynccontextmanager
async def dispatching(*targets: Target, **limits: float) -> AsyncIterator[Dispatcher]:
    async def load() -> list[Target]:
        return list(targets)

    async with Dispatcher(load, DispatchLimits(**limits)) as dispatcher:
        yield dispatcher


async def failure(dispatcher: Dispatcher, **fields: object) -> GenerationFailed:
    with pytest.raises(GenerationFailed) as failed:
        await collect(dispatcher.stream(wanted(**fields)))
    assert type(failed.value) is GenerationFailed, "evidence of the provider's must stay inside"
    return failed.value


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


async def test_no_more_than_in_flight_at_once_and_the_rest_is_told_its_place(stub: StubEngine, url: str) -> None:
    async with dispatching(target(url, "stub?n=4&rate=20", in_flight=2)) as dispatcher:
        results = await asyncio.gather(*[collect(dispatcher.stream(wanted(client=f"c{i}"))) for i in range(6)])
    assert stub.stats()["peak"] == 2
    assert all(isinstance(events[-1], Finished) for events in results)
    first_news = [
        next(e for e in events if isinstance(e, Queued)) for events in results if isinstance(events[0], Queued)
    ]
    assert [news.position for news in first_news] == [1, 2, 3, 4]


async def test_an_engine_with_our_scheduler_gets_everything_at_once(stub: StubEngine, url: str) -> None:
    async with dispatching(target(url, "stub?n=4&rate=20", in_flight=2, has_scheduler=True)) as dispatcher:
        await asyncio.gather(*[collect(dispatcher.stream(wanted(client="one"))) for _ in range(20)])
    assert stub.stats()["peak"] == 20


async def test_a_client_waits_with_so_many_and_no_more(url: str) -> None:
    busy = target(url, "stub?n=8&rate=20", in_flight=1)
    async with dispatching(busy, waiting_per_client=2) as dispatcher:
        tasks = [asyncio.create_task(collect(dispatcher.stream(wanted(client="greedy")))) for _ in range(3)]
        await asyncio.sleep(0.1)
        failed = await failure(dispatcher, client="greedy")
        assert failed.code == "busy"
        assert failed.retry_after_s > 0
        assert isinstance((await collect(dispatcher.stream(wanted(client="modest"))))[-1], Finished)
        await asyncio.gather(*tasks)


async def test_a_full_queue_sheds_the_largest_backlog(url: str) -> None:
    async with dispatching(target(url, "stub?n=8&rate=20", in_flight=1), waiting=2) as dispatcher:
        tasks = [asyncio.create_task(collect(dispatcher.stream(wanted(client="greedy")))) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert isinstance((await collect(dispatcher.stream(wanted(client="modest"))))[-1], Finished)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(result, "code", "") for result in results].count("busy") == 1


async def test_clients_take_turns(url: str) -> None:
    order: list[str] = []

    async def run(dispatcher: Dispatcher, client: str) -> None:
        async for event in dispatcher.stream(wanted(client=client)):
            if isinstance(event, Opened):
                order.append(client)

    async with dispatching(target(url, "stub?n=1&rate=0", in_flight=1)) as dispatcher:
        await asyncio.gather(*[run(dispatcher, client) for client in ["x", "a", "a", "a", "b"]])
    assert order.index("b") <= 2


async def test_a_pair_starts_together(stub: StubEngine, url: str) -> None:
    begun: list[str] = []

    async def one(dispatcher: Dispatcher, name: str, **fields: object) -> None:
        async for event in dispatcher.stream(wanted(client=name, **fields)):
            if isinstance(event, Text) and "w1" in event.text:
                begun.append(name)

    only = target(url, "stub?n=4&rate=20", in_flight=2, timeouts=Timeouts())
    async with dispatching(only) as dispatcher:
        held = asyncio.create_task(one(dispatcher, "x", prompt='{"stub": {"hold": 1, "after": 2}}'))
        while not begun:
            await asyncio.sleep(0.01)
        pair = [asyncio.create_task(one(dispatcher, "y", pair="t", pair_size=2)) for _ in range(2)]
        await asyncio.sleep(0.3)
        assert begun == ["x"], "half a pair has begun: there was room for one"
        stub.go()
        await asyncio.gather(held, *pair)
    assert stub.stats()["peak"] == 2


async def test_who_leaves_the_queue_frees_his_place(stub: StubEngine, url: str) -> None:
    async with dispatching(target(url, "stub-hang", in_flight=1, timeouts=Timeouts())) as dispatcher:
        tasks = [asyncio.create_task(collect(dispatcher.stream(wanted(client=f"c{i}")))) for i in range(4)]
        await asyncio.sleep(0.2)
        for task in tasks[1:3]:
            task.cancel()
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0.2)
        lane = next(iter(dispatcher._lanes.values()))
        assert (lane.running, lane.scheduler.waiting()) == (1, 0)
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert lane.idle()
        assert stub.stats()["requests"] == 2


async def test_the_wait_in_line_is_bounded(url: str) -> None:
    short = Timeouts(connect_s=2, first_token_s=5, idle_s=5, total_s=9, queue_s=0.3)
    async with dispatching(target(url, "stub?n=20&rate=20", in_flight=1, timeouts=short)) as dispatcher:
        running = asyncio.create_task(collect(dispatcher.stream(wanted(client="x"))))
        await asyncio.sleep(0.05)
        assert (await failure(dispatcher)).code == "busy"
        assert isinstance((await running)[-1], Finished)


async def test_closing_aborts_at_the_endpoint(stub: StubEngine, url: str) -> None:
    async with dispatching(target(url, "stub?n=500&rate=50")) as dispatcher:
        async with aclosing(dispatcher.stream(wanted())) as stream:
            async for event in stream:
                if isinstance(event, Text):
                    break
        await asyncio.sleep(0.2)
        assert stub.stats()["disconnected"] == 1
        assert next(iter(dispatcher._lanes.values())).idle()


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


async def test_service_is_counted_in_tokens(url: str) -> None:
    async with dispatching(target(url, "stub?n=10&rate=0")) as dispatcher:
        await collect(dispatcher.stream(wanted(client="c", prompt="x" * 400)))
        service = next(iter(dispatcher._lanes.values())).scheduler.service()
    assert service == {"c": 104 + 2 * 10}


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
