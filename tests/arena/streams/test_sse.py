"""The event stream over ASGI: only its owner reads it, it resumes, and it never waits for a stream that was lost."""

import asyncio
import json

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.db import OperationalError, ProgrammingError
from django.http import HttpResponse
from redis.asyncio import Redis

from arena import turns, visitors
from arena.asgi import application
from arena.models import Side, Turn, Visitor
from arena.streams import events, replay, sse
from arena.streams.hub import hub
from arena.streams.publish import connect
from tests import factories
from tests.factories import outcome

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


def cookie(visitor: Visitor) -> bytes:
    response = HttpResponse()
    visitors._hand_out(response, visitor.pk)
    return f"{visitors.COOKIE}={response.cookies[visitors.COOKIE].coded_value}".encode()


def request(turn: Turn, *headers: tuple[bytes, bytes], number: int = 1, method: str = "GET") -> ApplicationCommunicator:
    path = f"/b/{turn.battle_id}/turns/{number}/stream"
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    return ApplicationCommunicator(application, scope | {"headers": list(headers), "server": ("testserver", 80)})


async def body(communicator: ApplicationCommunicator) -> tuple[int, bytes]:
    """Status and everything that was sent, headers included, of a response that ends."""
    await communicator.send_input({"type": "http.request"})
    try:
        start = await communicator.receive_output(timeout=15)
        sent, more = b"", True
        while more:
            part = await communicator.receive_output(timeout=15)
            sent, more = sent + part["body"], part.get("more_body", False)
        await communicator.wait(timeout=5)
    finally:
        await hub().close()
    return start["status"], sent + b"\n\n: " + repr(start["headers"]).encode()


async def read(communicator: ApplicationCommunicator) -> tuple[int, list[tuple[str, str, dict]]]:
    """Status and events (id, name, data) of a stream that ends."""
    status, sent = await body(communicator)
    told = []
    for chunk in sent.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in chunk.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            told.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return status, told


async def mine(turn: Turn) -> tuple[bytes, bytes]:
    return b"cookie", cookie(await Visitor.objects.aget(pk=turn.visitor_id))


async def publish(turn: Turn, *batch: events.Event) -> list[str]:
    async with connect() as redis:
        return [await redis.xadd(events.key(turn.id), {events.FIELD: events.encoded(event)}) for event in batch]


async def begin() -> Turn:
    return await sync_to_async(factories.started)()


async def test_strangers_and_wrong_addresses_get_the_same_404() -> None:
    turn = await begin()
    stranger = await sync_to_async(factories.visitor)()
    assert (await read(request(turn)))[0] == 404
    assert (await read(request(turn, (b"cookie", cookie(stranger)))))[0] == 404
    assert (await read(request(turn, (b"cookie", b"agon_visitor=forged"))))[0] == 404
    assert (await read(request(turn, await mine(turn), number=2)))[0] == 404


@pytest.mark.parametrize("other", [b'state={"a": 1}', b"a[b]=1", b"k/ey=1", b"no-value", b"x=b c"])
async def test_cookies_of_others_do_not_hide_ours(other: bytes) -> None:
    turn = await begin()
    await sync_to_async(factories.finish)(turn)
    _name, own = await mine(turn)
    assert (await read(request(turn, (b"cookie", other + b"; " + own))))[0] == 200


async def test_one_visitor_holds_a_bounded_number_of_streams(settings: object) -> None:
    settings.SSE_PER_VISITOR = 1
    turn = await begin()
    first = request(turn, await mine(turn))
    await first.send_input({"type": "http.request"})
    assert (await first.receive_output(timeout=5))["status"] == 200
    second = request(turn, await mine(turn))
    await second.send_input({"type": "http.request"})
    assert (await second.receive_output(timeout=5))["status"] == 429
    await first.send_input({"type": "http.disconnect"})
    await first.wait(timeout=5)
    third = request(turn, await mine(turn))
    await third.send_input({"type": "http.request"})
    assert (await third.receive_output(timeout=5))["status"] == 200
    await third.send_input({"type": "http.disconnect"})
    await third.wait(timeout=5)
    assert not sse._open
    await hub().close()


async def test_a_stream_ends_when_its_turn_is_deleted(settings: object) -> None:
    settings.SSE_KEEPALIVE_S = 0.1
    turn = await begin()
    communicator = request(turn, await mine(turn))
    await communicator.send_input({"type": "http.request"})
    assert (await communicator.receive_output(timeout=5))["status"] == 200
    await Turn.objects.filter(pk=turn.pk).adelete()
    sent = b""
    while (part := await communicator.receive_output(timeout=5)).get("more_body"):
        sent += part["body"]
    assert b"event: done" in sent
    await communicator.wait(timeout=5)
    await hub().close()


def away(*_: object) -> None:
    raise OperationalError("connection refused")


async def test_while_the_database_is_away_a_browser_is_told_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = await begin()
    monkeypatch.setattr(sse, "_owned_turn", away)
    status, sent = await body(request(turn, await mine(turn)))
    assert status == 503 and b"(b'retry-after', b'30')" in sent and b"refused" not in sent
    assert sse.open_streams() == 0


async def test_a_stream_whose_end_cannot_be_asked_for_closes_in_order(
    monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    settings.SSE_KEEPALIVE_S = 0.1
    turn = await begin()
    monkeypatch.setattr(replay, "open_among", away)
    status, sent = await body(request(turn, await mine(turn)))
    assert status == 200 and b": keep-alive" in sent and b"event: done" not in sent
    assert sse.open_streams() == 0


async def test_a_bug_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ProgrammingError("no such column")

    turn = await begin()
    monkeypatch.setattr(sse, "_owned_turn", broken)
    with pytest.raises(ProgrammingError):
        await body(request(turn, await mine(turn)))


async def test_only_get() -> None:
    turn = await begin()
    assert (await read(request(turn, await mine(turn), method="POST")))[0] == 405


async def test_a_finished_turn_is_told_from_the_database() -> None:
    turn = await begin()
    await sync_to_async(factories.finish)(turn, outcome("One."), outcome("Two.", "early"))
    status, told = await read(request(turn, await mine(turn)))
    assert status == 200
    assert [name for _id, name, _data in told] == ["reset", "frame", "side", "reset", "frame", "side", "done"]
    assert told[1][2]["a"]["blocks"] == ["<p>One.</p>"]
    assert told[5][2] == {"side": "b", "attempt": 1, "state": "early"}
    assert told[-1][2] == {"battle": "ready"}


async def end(turn: Turn, *batch: events.Event) -> None:
    """A moment later: the worker commits and tells the end, as it does for real."""
    await asyncio.sleep(0.3)
    await sync_to_async(turns.finish)(turn.id, "w", {Side.A: outcome(), Side.B: outcome()})
    await publish(turn, *batch, events.done("ready"))


async def test_an_unclaimed_turn_says_that_the_arena_is_busy() -> None:
    turn = await begin()
    reading = asyncio.create_task(read(request(turn, await mine(turn))))
    await asyncio.sleep(0.2)
    await sync_to_async(turns.claim)(turn.id, "w")
    await end(turn)
    _status, told = await reading
    assert told[0][1:] == ("status", {"state": "busy", "position": None, "eta_s": None})


async def test_a_reload_sees_everything_and_a_reconnect_only_what_is_new() -> None:
    turn = await begin()
    await sync_to_async(turns.claim)(turn.id, "w")
    ids = await publish(turn, *[(events.FRAME, {"a": {"n": 1, "add": str(i)}}) for i in range(3)])
    ending = asyncio.create_task(end(turn))
    _status, told = await read(request(turn, await mine(turn)))
    await ending
    assert [entry for entry, _name, _data in told[:3]] == ids
    assert [name for _entry, name, _data in told] == ["frame", "frame", "frame", "done"]
    _status, rest = await read(request(turn, await mine(turn), (b"last-event-id", ids[1].encode())))
    assert rest == told[2:]


async def test_the_end_of_an_earlier_attempt_does_not_end_the_stream() -> None:
    """A retry begins while the old end still stands in the stream (Valkey was away when it should have been dropped)."""
    turn = await begin()
    await sync_to_async(turns.claim)(turn.id, "w")
    await publish(turn, events.done("failed"))
    ending = asyncio.create_task(end(turn, events.reset("a", 2)))
    _status, told = await read(request(turn, await mine(turn)))
    await ending
    assert [name for _entry, name, _data in told] == ["reset", "done"]
    assert told[-1][2] == {"battle": "ready"}


@pytest.mark.parametrize("garbage", [b"", b"abc", b"1", b"9" * 400, b"-", b"0-0\r\n"])
async def test_a_garbled_last_event_id_starts_over(garbage: bytes) -> None:
    turn = await begin()
    await sync_to_async(turns.claim)(turn.id, "w")
    ids = await publish(turn, events.status("thinking"))
    ending = asyncio.create_task(end(turn))
    _status, told = await read(request(turn, await mine(turn), (b"last-event-id", garbage)))
    await ending
    assert told[0][0] == ids[0]
    assert told[-1][1] == "done"


async def test_a_turn_that_ended_while_its_stream_was_lost_is_told_anyway(settings: object) -> None:
    settings.SSE_KEEPALIVE_S = 0.1
    turn = await begin()
    ids = await publish(turn, (events.FRAME, {"a": {"n": 1, "add": "half"}}))
    await sync_to_async(factories.finish)(turn)
    async with connect() as redis:
        await redis.delete(events.key(turn.id))
    _status, told = await read(request(turn, await mine(turn), (b"last-event-id", ids[0].encode())))
    assert told[0][1:] == ("reset", {"side": "a", "attempt": 1})
    assert told[-1][1:] == ("done", {"battle": "ready"})


async def test_a_browser_that_leaves_frees_its_place() -> None:
    turn = await begin()
    communicator = request(turn, await mine(turn))
    await communicator.send_input({"type": "http.request"})
    assert (await communicator.receive_output(timeout=5))["status"] == 200
    for _ in range(2):  # the retry line and the busy status
        await communicator.receive_output(timeout=5)
    await asyncio.sleep(0.1)
    assert hub().viewers
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(timeout=5)
    assert not hub().viewers
    await hub().close()


async def test_no_identity_in_any_event_before_the_vote() -> None:
    """S4 for the stream: neither names nor ids of contestants, revisions or deployments."""
    turn = await begin()
    await sync_to_async(factories.finish)(turn)
    _status, raw = await body(request(turn, await mine(turn)))
    sent = raw.decode()
    battle = await sync_to_async(lambda: turn.battle)()
    for revision_id in (battle.revision_a_id, battle.revision_b_id):
        assert str(revision_id) not in sent
    for name in ("Contestant", "contestant", "Org of", "stub"):
        assert name not in sent


def test_redis_is_not_shared_between_loops() -> None:
    async def current() -> Redis:
        return hub().redis

    assert asyncio.run(current()) is not asyncio.run(current())
