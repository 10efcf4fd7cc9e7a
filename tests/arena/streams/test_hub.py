"""The shared reader: no gap, no repeat, whatever the viewer's pace and whenever it joins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from arena.streams import events
from arena.streams.hub import BACKLOG, Entry, Hub
from arena.streams.publish import Publisher, connect

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    yield made
    await made.close()


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    async with connect() as client:
        yield client


def number(i: int) -> events.Event:
    return events.FRAME, {"a": {"n": 1, "add": str(i)}}


async def publish(redis: Redis, turn: UUID, numbers: range, pause: float = 0.0) -> None:
    for i in numbers:
        await redis.xadd(events.key(turn), {events.FIELD: events.encoded(number(i))})
        if pause:
            await asyncio.sleep(pause)


async def take(stream: AsyncIterator[list[Entry]], n: int) -> tuple[list[int], list[bytes]]:
    """The numbers and ids of the next entries, at least `n`."""
    seen: list[int] = []
    ids: list[bytes] = []
    async with asyncio.timeout(20):
        while len(seen) < n:
            for entry_id, told in await anext(stream):
                ids.append(entry_id)
                seen.append(int(told.split(b'"')[-2]))
    return seen, ids


async def test_viewers_that_join_at_any_time_see_everything_once(hub: Hub, redis: Redis) -> None:
    turn = uuid4()

    async def viewer(delay: float) -> list[int]:
        await asyncio.sleep(delay)
        async with aclosing(hub.watch(turn, b"0-0")) as stream:
            return (await take(stream, 120))[0]

    writer = asyncio.create_task(publish(redis, turn, range(120), pause=0.005))
    seen = await asyncio.gather(*[viewer(delay) for delay in (0, 0.1, 0.3, 0.9)])
    await writer
    assert seen == [list(range(120))] * 4
    assert not hub.viewers


async def test_a_viewer_resumes_after_its_last_id(hub: Hub, redis: Redis) -> None:
    turn = uuid4()
    await publish(redis, turn, range(30))
    async with aclosing(hub.watch(turn, b"0-0")) as stream:
        first, ids = await take(stream, 30)
    async with aclosing(hub.watch(turn, ids[11])) as stream:
        rest, _ = await take(stream, 18)
    assert first[:12] + rest == list(range(30))


async def test_a_slow_viewer_loses_its_queue_but_no_event(hub: Hub, redis: Redis) -> None:
    turn = uuid4()
    total = 3 * BACKLOG
    async with aclosing(hub.watch(turn, b"0-0")) as stream:
        await publish(redis, turn, range(1))
        first, _ = await take(stream, 1)
        await publish(redis, turn, range(1, total))
        await asyncio.sleep(0.5)  # the reader fans out far more than the queue holds
        rest, _ = await take(stream, total - 1)
    assert first + rest == list(range(total))


async def test_nothing_newer_is_told_before_what_a_failed_replay_has_missed(
    hub: Hub, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = uuid4()
    await publish(redis, turn, range(3))
    read, failures = hub.redis.xrange, iter([True, True, False])

    async def flaky(*arguments: object, **more: object) -> object:
        if next(failures, False):
            raise TimeoutError("busy")
        return await read(*arguments, **more)

    monkeypatch.setattr(hub.redis, "xrange", flaky)
    monkeypatch.setattr(hub, "cursors", {events.key(turn).encode(): b"9999999999999-0"})  # the reader starts further on
    async with aclosing(hub.watch(turn, b"0-0")) as stream:
        reading = asyncio.create_task(take(stream, 6))
        await asyncio.sleep(0.2)
        viewer = next(iter(hub.viewers[events.key(turn).encode()]))
        await publish(redis, turn, range(3, 6))
        (newest,) = await redis.xrevrange(events.key(turn), count=1)
        for _ in range(3):
            viewer.offer([(newest[0].encode(), newest[1][events.FIELD].encode())])
            await asyncio.sleep(0.05)
        seen, _ = await reading
    assert seen == list(range(6))


async def test_a_quiet_stream_yields_keep_alives(hub: Hub, settings: object) -> None:
    settings.SSE_KEEPALIVE_S = 0.05
    async with aclosing(hub.watch(uuid4(), b"0-0")) as stream:
        assert await anext(stream) == []


async def blocked_readers(redis: Redis) -> list[dict[str, str]]:
    mine = str(redis.connection_pool.connection_kwargs.get("db", 0))  # other test processes have databases of their own
    clients = await redis.client_list()
    return [c for c in clients if c["cmd"] == "xread" and "b" in c["flags"] and str(c["db"]) == mine]


async def test_one_connection_reads_for_all_viewers(hub: Hub, redis: Redis) -> None:
    turns = [uuid4() for _ in range(20)]
    streams = [hub.watch(turn, b"0-0") for turn in turns]
    readers = [asyncio.create_task(take(stream, 1)) for stream in streams]
    async with asyncio.timeout(10):
        while len(hub.viewers) < len(turns) or not (blocked := await blocked_readers(redis)):
            await asyncio.sleep(0.05)
    assert len(blocked) == 1
    for turn in turns:
        await publish(redis, turn, range(1))
    await asyncio.gather(*readers)
    for stream in streams:
        await stream.aclose()


async def test_one_flush_is_one_round_trip_for_all_turns(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {uuid4() for _ in range(50)}
    publisher = Publisher(redis, lambda _turn: [])
    for turn in ids:
        publisher.add(turn, number(1), number(2))
    calls = 0
    send = publisher._send

    async def counted(pending: dict[UUID, list[events.Event]]) -> None:
        nonlocal calls
        calls += 1
        await send(pending)

    monkeypatch.setattr(publisher, "_send", counted)
    assert await publisher.flush(ids)
    assert await publisher.flush(ids)  # nothing pending: nothing sent
    assert calls == 1
    assert len(await redis.keys("turn:*")) == 50
    assert await redis.ttl(events.key(next(iter(ids)))) > 0


async def test_after_a_loss_the_whole_turn_is_published_again(redis: Redis) -> None:
    turn = uuid4()
    publisher = Publisher(redis, lambda _turn: [events.reset("a", 1), number(99)])
    publisher.add(turn, number(1))
    await publisher.flush({turn})

    async def refuse(pending: object) -> None:
        raise ConnectionError("gone")

    send, publisher._send = publisher._send, refuse
    publisher.add(turn, number(2))
    assert not await publisher.flush({turn})
    publisher._send = send
    assert await publisher.flush({turn})
    told = [fields[events.FIELD] for _id, fields in await redis.xrange(events.key(turn))]
    assert len(told) == 3
    assert "reset" in told[1]
    assert '"99"' in told[2]
    assert await publisher.flush({turn})
    assert len(await redis.xrange(events.key(turn))) == 3


async def test_a_stream_whose_turn_has_ended_is_soon_gone(redis: Redis, settings: object) -> None:
    open_turn, ended = uuid4(), uuid4()
    publisher = Publisher(redis, lambda _turn: [])
    for turn_id in (open_turn, ended):
        publisher.add(turn_id, events.status("writing"))
    await publisher.flush(set())
    publisher.add(ended, events.done("ready"))
    await publisher.flush(set())
    assert await redis.ttl(events.key(open_turn)) > settings.STREAM_DONE_TTL_S
    assert 0 < await redis.ttl(events.key(ended)) <= settings.STREAM_DONE_TTL_S


async def test_a_dropped_stream_goes_behind_all_that_was_sent_and_survives_a_loss(redis: Redis) -> None:
    dropped, kept = uuid4(), uuid4()
    publisher = Publisher(redis, lambda _turn: [])
    for turn_id in (dropped, kept):
        publisher.add(turn_id, number(1))
    await publisher.flush(set())
    publisher.add(dropped, number(2))
    publisher.drop(dropped)

    async def refuse(pending: object) -> None:
        raise ConnectionError("gone")

    send, publisher._send = publisher._send, refuse
    assert not await publisher.flush(set())
    publisher._send = send
    assert await publisher.flush(set())
    assert await redis.keys("turn:*") == [events.key(kept)]
    assert not publisher.dropped


async def test_streams_are_bounded(redis: Redis, settings: object) -> None:
    settings.STREAM_MAXLEN = 100
    turn = uuid4()
    publisher = Publisher(redis, lambda _turn: [])
    publisher.add(turn, *[number(i) for i in range(1000)])
    await publisher.flush({turn})
    assert await redis.xlen(events.key(turn)) < 300  # trimmed by whole nodes, hence approximate
