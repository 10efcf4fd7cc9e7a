"""The queue in front of endpoints without a scheduler: places, turns, pairs, bounds, and who leaves."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from inference.dispatch import Dispatcher
from inference.events import Finished, Opened, Queued, Text
from inference.target import Timeouts
from tests.inference.dispatching import dispatching, failure
from tests.inference.serving import collect, target, wanted
from tests.stub_engine import StubEngine


@pytest.fixture(scope="module")
def stub() -> Iterator[StubEngine]:
    with StubEngine(tick_ms=10) as running:
        yield running


@pytest.fixture
def url(stub: StubEngine) -> str:
    stub.reset()
    return f"{stub.url}/v1"


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


async def started(url: str, asks: list[dict[str, str]], upstream: str = "stub?n=1&rate=0") -> list[str]:
    """The clients in the order in which their requests were opened, one at a time."""
    order: list[str] = []

    async def run(dispatcher: Dispatcher, fields: dict[str, str]) -> None:
        async for event in dispatcher.stream(wanted(**fields)):
            if isinstance(event, Opened):
                order.append(fields["client"])

    async with dispatching(target(url, upstream, in_flight=1), waiting_per_client=50) as dispatcher:
        await asyncio.gather(*[run(dispatcher, fields) for fields in asks])
    return order


async def test_fresh_cookies_of_one_network_share_what_one_visitor_gets(url: str) -> None:
    crowd = [{"client": f"cookie{i}", "group": "crowd"} for i in range(12)]
    quiet = [{"client": "quiet", "group": "home"} for _ in range(4)]
    order = await started(url, [*crowd, *quiet])
    assert order[:8].count("quiet") >= 3


async def test_what_counts_is_tokens_not_turns(url: str) -> None:
    """VTC with predictions, by default: prompts eight times as long wait for as many short ones."""
    asks = [{"client": "long", "prompt": "word " * 1600} for _ in range(6)]
    asks += [{"client": "short", "prompt": "word " * 100} for _ in range(12)]
    order = await started(url, asks)
    assert order[:10].count("short") >= 7


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


async def test_service_is_counted_in_tokens(url: str) -> None:
    async with dispatching(target(url, "stub?n=10&rate=0")) as dispatcher:
        await collect(dispatcher.stream(wanted(client="c", prompt="x" * 400)))
        service = next(iter(dispatcher._lanes.values())).scheduler.service()
        (clients,) = dispatcher.clients(50).values()
        assert dispatcher.clients(0) == {}
    assert service == {"c": 104 + 2 * 10}
    assert [(told.client, told.service, told.waiting, told.admissions) for told in clients] == [("c", 124, 0, 1)]


async def test_clients_of_an_endpoint_that_schedules_are_not_told_twice(url: str) -> None:
    async with dispatching(target(url, "stub?n=1&rate=0", has_scheduler=True)) as dispatcher:
        await collect(dispatcher.stream(wanted(client="c")))
        assert dispatcher.clients(50) == {}
