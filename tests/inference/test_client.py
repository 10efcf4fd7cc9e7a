"""The streaming client against the stub engine's faults and small misbehaving servers."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from inference.client import Client, ClientLimits, UpstreamFailed, redact
from inference.events import Finished, Opened, Queued, Text
from inference.target import Timeouts
from tests.inference.serving import QUICK, collect, scripted, server, target, text_of, wanted
from tests.stub_engine import SECRET_ACCOUNT, StubEngine

KEY = "sk-test-4f9a7c21e8"
HEAD = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": null}]}\n\n'
TAIL = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture(scope="module")
def stub() -> Iterator[StubEngine]:
    with StubEngine(key=KEY, tick_ms=10) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client() as opened:
        yield opened


async def failure(client: Client, base_url: str, upstream: str = "stub", **fields: object) -> UpstreamFailed:
    with pytest.raises(UpstreamFailed) as failed:
        await collect(client.stream(target(base_url, upstream, **{"key": KEY} | fields), wanted()))
    return failed.value


async def test_a_whole_answer(client: Client, stub: StubEngine) -> None:
    events = await collect(client.stream(target(f"{stub.url}/v1", "stub?n=5&rate=100", key=KEY), wanted()))
    assert isinstance(events[0], Opened)
    assert text_of(events) == "w1 w2 w3 w4 w5 "
    assert events[-1] == Finished("stop", 1, 5)
    assert stub.requests()[-1]["body"]["seed"] == 7


async def test_a_pace_decides_how_often_text_is_read_and_loses_none_of_it(stub: StubEngine) -> None:
    async with Client(pace=lambda: asyncio.sleep(0.15)) as slow:
        events = await collect(slow.stream(target(f"{stub.url}/v1", "stub?n=60&rate=100", key=KEY), wanted()))
    said = [event for event in events if isinstance(event, Text)]
    assert text_of(events).split() == [f"w{i + 1}" for i in range(60)]
    assert len(said) <= 8
    assert max(event.deltas for event in said) >= 5
    assert events[-1] == Finished("stop", 1, 60)


async def test_the_length_limit_is_said(client: Client, stub: StubEngine) -> None:
    events = await collect(
        client.stream(target(f"{stub.url}/v1", key=KEY), wanted(sampling={"max_tokens": 3, "temperature": 0}))
    )
    assert events[-1] == Finished("length", 1, 3)


async def test_queue_comments_are_events_and_hold_the_clocks(client: Client, stub: StubEngine) -> None:
    slow = Timeouts(connect_s=2, first_token_s=1.3, idle_s=0.5, total_s=1.5, queue_s=10)
    place = target(f"{stub.url}/v1", "stub?n=2&rate=0&first_delay=2.2&queued=3", key=KEY, timeouts=slow)
    events = await collect(client.stream(place, wanted()))
    queued = [event for event in events if isinstance(event, Queued)]
    assert len(queued) >= 2
    assert queued[0].position == 3
    assert text_of(events) == "w1 w2 "


async def test_queue_comments_hold_the_clocks_only_so_long(client: Client, stub: StubEngine) -> None:
    short = Timeouts(connect_s=2, first_token_s=0.4, idle_s=0.4, total_s=1.5, queue_s=0.1)
    failed = await failure(client, f"{stub.url}/v1", "stub?first_delay=5&queued=3", timeouts=short)
    assert failed.code == "timeout"


@pytest.mark.parametrize(
    ("upstream", "code", "after_text", "retry_after"),
    [
        ("stub?fault=truncate&after=3&rate=0", "truncated", True, 0),
        ("stub?fault=truncate&after=0&rate=0", "truncated", False, 0),
        ("stub-drop", "unreachable", False, 0),
        ("stub-hang", "timeout", False, 0),
        ("stub?fault=hang&after=2&rate=0", "timeout", True, 0),
        ("stub?fault=garbage&after=2&rate=50", "bad_response", True, 0),
        ("stub?fault=error&after=3&rate=50", "server_error", True, 0),
        ("stub-empty", "bad_response", False, 0),
        ("stub-429", "rate_limited", False, 2),
        ("stub-503", "busy", False, 2),
        ("stub-500", "server_error", False, 0),
        ("stub-html", "server_error", False, 0),
    ],
)
async def test_faults(
    client: Client, stub: StubEngine, upstream: str, code: str, after_text: bool, retry_after: float
) -> None:
    start = time.monotonic()
    failed = await failure(client, f"{stub.url}/v1", upstream)
    assert (failed.code, failed.after_text, failed.retry_after_s) == (code, after_text, retry_after)
    assert time.monotonic() - start < QUICK.total_s, "the fault itself ended it"
    assert SECRET_ACCOUNT not in repr(failed) + str(failed)


async def test_silence_before_the_headers_is_a_timeout(client: Client) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with server(hang) as url:
        quick = Timeouts(connect_s=0.2, first_token_s=0.3)
        assert (await failure(client, url, timeouts=quick)).code == "timeout"


async def test_the_whole_takes_at_most_total_s(client: Client, stub: StubEngine) -> None:
    quick = Timeouts(connect_s=1, first_token_s=1, idle_s=1, total_s=0.5)
    failed = await failure(client, f"{stub.url}/v1", "stub?n=1000&rate=50", timeouts=quick)
    assert (failed.code, failed.after_text) == ("timeout", True)


async def test_a_wrong_key_is_rejected_and_in_no_words(client: Client, stub: StubEngine) -> None:
    failed = await failure(client, f"{stub.url}/v1", key="sk-wrong-000000")
    assert (failed.code, failed.status) == ("rejected", 401)
    assert "sk-wrong" not in failed.said


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9/v1", "unix:///nowhere/engine.sock", "nonsense", "http://"])
async def test_nobody_there(client: Client, base_url: str) -> None:
    assert (await failure(client, base_url)).code == "unreachable"


async def test_a_connection_that_is_not_made_in_time(client: Client) -> None:
    """A listener whose backlog is full leaves the next one waiting: no connection, whatever the first-token deadline."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        failed = await failure(client, url, timeouts=Timeouts(connect_s=0.3, first_token_s=5))
        for one in waiting:
            one.close()
    assert failed.code == "unreachable"


async def test_redirects_are_refused(client: Client) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Authorization"])
        raise web.HTTPTemporaryRedirect("/v1/chat/completions")

    async with server(elsewhere) as url:
        failed = await failure(client, url)
    assert (failed.code, failed.status, len(asked)) == ("bad_response", 307, 1)


async def test_an_answer_that_is_no_stream_is_refused(client: Client) -> None:
    async def whole(request: web.Request) -> web.StreamResponse:
        return web.json_response({"choices": [{"message": {"content": "Hi"}}]})

    async with server(whole) as url:
        assert (await failure(client, url)).code == "bad_response"


async def test_a_unix_socket(client: Client, tmp_path: Path) -> None:
    async with server(scripted(HEAD, TAIL), unix=str(tmp_path / "s")) as url:
        events = await collect(client.stream(target(url), wanted()))
    assert text_of(events) == "Hi"


async def test_the_text_survives_any_cut(client: Client) -> None:
    data = 'data: {"choices": [{"delta": {"content": "Grüße 🙂"}}]}\r\n\r\n'.encode() + TAIL
    async with server(scripted(*[data[i : i + 1] for i in range(len(data))])) as url:
        events = await collect(client.stream(target(url), wanted()))
    assert text_of(events) == "Grüße 🙂"


@pytest.mark.parametrize(
    ("chunks", "end", "finished"),
    [
        ([HEAD, TAIL[: TAIL.index(b"data: [DONE]")]], True, True),  # no [DONE]
        ([HEAD, TAIL[: TAIL.index(b"data: [DONE]")]], False, True),  # cut off after the reason
        ([HEAD, b"data: [DONE]\n\n"], True, True),  # no reason
        ([HEAD], True, False),
    ],
)
async def test_odd_ends(client: Client, chunks: list[bytes], end: bool, finished: bool) -> None:
    async with server(scripted(*chunks, end=end)) as url:
        if finished:
            assert (await collect(client.stream(target(url), wanted())))[-1] == Finished("stop", None, None)
        else:
            failed = await failure(client, url)
            assert (failed.code, failed.after_text) == ("truncated", True)


async def test_the_stream_is_bounded() -> None:
    async with Client(ClientLimits(max_stream=1000)) as client, server(scripted(*[HEAD] * 100)) as url:
        assert (await failure(client, url)).code == "bad_response"


async def test_a_line_is_bounded() -> None:
    async with Client(ClientLimits(max_line=1000)) as client, server(scripted(b"data: " + b"x" * 2000)) as url:
        assert (await failure(client, url)).code == "bad_response"


async def test_an_error_body_is_read_only_so_far(client: Client) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 10_000)
        return response

    async with server(endless) as url:
        failed = await failure(client, url)
    assert (failed.code, len(failed.said)) == ("server_error", 500)


async def test_closing_aborts_the_request_there(client: Client, stub: StubEngine) -> None:
    stub.reset()
    stream = client.stream(target(f"{stub.url}/v1", "stub?n=1000&rate=50", key=KEY), wanted())
    async for event in stream:
        if isinstance(event, Text):
            break
    await stream.aclose()
    await eventually(lambda: stub.stats().get("disconnected") == 1)


async def test_cancelling_aborts_the_request_there(client: Client, stub: StubEngine) -> None:
    stub.reset()
    task = asyncio.create_task(collect(client.stream(target(f"{stub.url}/v1", "stub-hang", key=KEY), wanted())))
    await eventually(lambda: stub.stats()["active"] == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: stub.stats().get("disconnected") == 1)


async def eventually(true: object, within_s: float = 3.0) -> None:
    end = time.monotonic() + within_s
    while not await asyncio.to_thread(true):
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.02)


async def test_connections_are_used_again_and_stale_ones_replaced(client: Client) -> None:
    peers: list[object] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        peers.append(request.transport.get_extra_info("peername"))
        response = await scripted(HEAD, TAIL)(request)
        if len(peers) == 2:
            await response.write_eof()
            request.transport.close()
        return response

    async with server(answer) as url:
        for _ in range(3):
            assert text_of(await collect(client.stream(target(url), wanted()))) == "Hi"
    assert len(peers) == 3
    assert peers[0] == peers[1] != peers[2]


async def test_nothing_secret_is_logged(client: Client, stub: StubEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for upstream in ("stub-500", "stub-error", "stub-429"):
        with pytest.raises(UpstreamFailed):
            await collect(client.stream(target(f"{stub.url}/v1", upstream, key=KEY), wanted(prompt="my private words")))
    assert KEY not in caplog.text
    assert "private words" not in caplog.text
    assert SECRET_ACCOUNT not in caplog.text


def test_redaction() -> None:
    said = redact("key abc123 failed; Authorization: Bearer zzzzzzzz; sk-proj-abcdefgh", "abc123")
    assert "abc123" not in said
    assert "zzzzzzzz" not in said
    assert "abcdefgh" not in said
    assert len(redact("x" * 10_000, "")) == 500


def test_reprs_hold_neither_key_nor_words() -> None:
    text = repr(target("https://host/v1", key=KEY)) + repr(wanted(prompt="my private words"))
    assert KEY not in text
    assert "private" not in text
