"""The bounds of a connection, against the protocol that serves the site: slow, large and many-headed requests, and a crowd."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from arena import serve


async def hello(scope: dict, receive: object, send: object) -> None:
    """A site that answers in its own time: the path says how long it takes."""
    await asyncio.sleep(float(scope["path"].strip("/") or 0))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@asynccontextmanager
async def running(config: uvicorn.Config) -> AsyncIterator[int]:
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def site() -> AsyncIterator[int]:
    async with running(uvicorn.Config(hello, **serve.options("127.0.0.1", 0) | {"lifespan": "off"})) as port:
        yield port


async def answer(port: int, *pieces: bytes, pause: float = 0.0, patience: float = 5.0) -> bytes:
    """Everything that comes back for these bytes, until the server closes or the patience is out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def write() -> None:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)

    writing, got = asyncio.create_task(write()), b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(patience):
            while piece := await reader.read(65536):
                got += piece
    writing.cancel()
    writer.close()
    return got


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def test_an_ordinary_request_is_answered() -> None:
    async with site() as port:
        assert (await answer(port, GET + b"Connection: close\r\n\r\n")).endswith(b"hi")


@pytest.mark.parametrize("first", [b"", GET + b"X: y\r\n"], ids=["silence", "half a head"])
async def test_a_head_that_does_not_come_ends_the_connection(settings: object, first: bytes) -> None:
    settings.WEB_HEAD_S = 0.3
    async with site() as port:
        got = await answer(port, first)
    assert got.startswith(b"HTTP/1.1 408") and b"did not come in time" in got if first else got == b""


async def test_a_head_that_trickles_ends_too_and_so_does_the_second_one(settings: object) -> None:
    settings.WEB_HEAD_S = 0.4
    async with site() as port:
        slow = [b"X-%d: y\r\n" % n for n in range(40)]
        assert b"HTTP/1.1 408" in await answer(port, GET, *slow, pause=0.05)
        got = await answer(port, GET + b"\r\n", GET, *slow, pause=0.05)
    assert got.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 408" in got


async def test_a_slow_answer_and_a_waiting_second_request_are_not_late(settings: object) -> None:
    settings.WEB_HEAD_S = 0.2
    async with site() as port:
        slow = b"GET /0.5 HTTP/1.1\r\nHost: x\r\n\r\n"
        got = await answer(port, slow, slow, GET + b"Connection: close\r\n\r\n")
    assert got.count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n",
        GET + b"X: " + b"y" * 40_000 + b"\r\n\r\n",
        GET + b"X: " + b"y" * 200_000,
        b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\n\r\n",
        GET + b"Cookie: " + b"a=b; " * 10_000 + b"\r\n\r\n",
    ],
    ids=["200 headers", "huge header", "endless header", "huge address", "huge cookie"],
)
async def test_a_head_beyond_its_bounds_is_431(head: bytes) -> None:
    async with site() as port:
        cut = [head[at : at + 5000] for at in range(0, len(head), 5000)]
        for pieces in ([head], cut):
            got = await answer(port, *pieces)
            assert got.startswith(b"HTTP/1.1 431") and b"larger headers" in got
        assert (await answer(port, GET + b"Connection: close\r\n\r\n")).endswith(b"hi")  # nobody else is harmed


async def test_a_long_body_is_no_long_head() -> None:
    async with site() as port:
        post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n" + b"x" * 200_000
        assert (await answer(port, post)).startswith(b"HTTP/1.1 200")


async def test_garbage_is_400() -> None:
    async with site() as port:
        assert (await answer(port, b"\x16\x03\x01\x00\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_too_many_at_once_are_told_so(settings: object) -> None:
    settings.WEB_CONNECTIONS = 3
    async with site() as port:
        slow = b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        busy = [asyncio.create_task(answer(port, slow)) for _ in range(2)]
        await asyncio.sleep(0.3)
        refused = await asyncio.gather(*(answer(port, slow) for _ in range(4)))
        served = await asyncio.gather(*busy)
        assert (await answer(port, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert all(got.startswith(b"HTTP/1.1 503") for got in refused)
    assert all(got.startswith(b"HTTP/1.1 200") for got in served)


async def listener(scope: dict, receive: object, send: object) -> None:
    """A socket that is accepted and then only listens."""
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def test_a_socket_that_answers_no_ping_is_closed() -> None:
    """Half a handshake has the time of a head; after it, pings tell who is still there (every 20 s, as uvicorn does it)."""
    assert "ws_ping_interval" not in serve.options("h", 1)
    config = uvicorn.Config(listener, **serve.options("127.0.0.1", 0) | {"lifespan": "off", "ws_ping_interval": 0.2})
    config.ws_ping_timeout = 0.2
    async with running(config) as port:
        shake = b"GET /live/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        shake += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        begun = asyncio.get_running_loop().time()
        got = await answer(port, shake, patience=10)
        took = asyncio.get_running_loop().time() - begun
    assert got.startswith(b"HTTP/1.1 101") and b"\x89" in got  # a ping was sent, nobody answered, the server has closed
    assert took < 9
