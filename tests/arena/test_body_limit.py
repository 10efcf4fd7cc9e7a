"""No request fills the disk: bodies are bounded before Django reads them."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from arena import body_limit, serve
from arena.asgi import LARGER, application
from arena.body_limit import TOO_LARGE, BodyLimit
from tests.arena.test_serve import running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]
MOST = LARGER * settings.DATA_UPLOAD_MAX_MEMORY_SIZE


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "READ_ON_S", 0.5)


def request(*headers: tuple[bytes, bytes], path: str = "/battles/") -> ApplicationCommunicator:
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    return ApplicationCommunicator(
        application, scope | {"headers": [(b"host", b"localhost"), *headers], "server": ("localhost", 80)}
    )


async def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    sender = request((b"content-length", str(MOST + 1).encode()))
    assert (await sender.receive_output(timeout=5))["status"] == 413
    await sender.receive_output(timeout=5)
    await sender.wait(timeout=5)


@pytest.mark.parametrize("path", ["/battles/", "/no-such-page"])
async def test_a_body_that_grows_too_large_is_read_no_further(path: str) -> None:
    sender = request((b"content-type", b"multipart/form-data; boundary=x"), path=path)
    for _ in range(LARGER + 1):
        await sender.send_input(
            {"type": "http.request", "body": b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE, "more_body": True}
        )
    assert (await sender.receive_output(timeout=5))["status"] == 413
    await sender.receive_output(timeout=5)
    await sender.wait(timeout=5)


async def test_an_ordinary_form_passes() -> None:
    sender = request((b"content-length", b"1"), path="/no-such-page")
    await sender.send_input({"type": "http.request", "body": b"x"})
    assert (await sender.receive_output(timeout=5))["status"] in (403, 404)
    await sender.receive_output(timeout=5)
    await sender.wait(timeout=5)


async def test_a_body_that_trickles_is_given_up(settings: object) -> None:
    settings.WEB_BODY_S = 0.3
    sender = request((b"content-length", b"100"))
    await sender.send_input({"type": "http.request", "body": b"x", "more_body": True})
    start = await sender.receive_output(timeout=5)
    assert start["status"] == 408
    assert b"did not come in time" in (await sender.receive_output(timeout=5))["body"]
    await sender.wait(timeout=5)


# --- on a real connection ---------------------------------------------------------------------------------------------


async def reader_of_bodies(scope: dict, receive: object, send: object) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    if message["type"] == "http.request":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def site(most: int = 1_000_000) -> AsyncIterator[int]:
    options = serve.options("127.0.0.1", 0) | {"lifespan": "off"}
    async with running(uvicorn.Config(BodyLimit(reader_of_bodies, most), **options)) as port:
        yield port


def sent(port: int, head: bytes, body: Iterable[bytes]) -> tuple[bytes, bool]:
    """What a client reads that sends to the end first, and whether it came to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        got, whole = b"", True
        try:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
            for piece in body:
                client.sendall(piece)
        except OSError:
            whole = False
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                got += piece
        return got, whole


CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b""], ids=["complete", "never complete"])
async def test_whoever_sends_ten_megabytes_first_still_reads_the_refusal(end: bytes) -> None:
    async with site() as port:
        for _ in range(2):
            got, whole = await asyncio.to_thread(sent, port, CHUNKED, [*[CHUNK] * 160, end])
            assert whole and got.startswith(b"HTTP/1.1 413") and got.endswith(TOO_LARGE)
            announced = b"Content-Length: 10000000"
            got, whole = await asyncio.to_thread(sent, port, announced, [b"x" * 10_000_000])
            assert whole and got.startswith(b"HTTP/1.1 413") and got.endswith(TOO_LARGE)
        assert (await asyncio.to_thread(sent, port, CHUNKED, [CHUNK, b"0\r\n\r\n"]))[0].endswith(b"ok")


async def test_a_body_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "READ_ON_BYTES", 3_000_000)
    async with site() as port:
        assert not (await asyncio.to_thread(sent, port, CHUNKED, itertools.repeat(CHUNK, 2000)))[1]


async def test_a_body_that_trickles_on_is_not_read_for_ever(settings: object) -> None:
    settings.WEB_BODY_S = 0.3

    def trickle() -> Iterator[bytes]:
        for _ in range(200):
            yield b"1\r\nx\r\n"
            time.sleep(0.1)

    async with site() as port:
        got, whole = await asyncio.to_thread(sent, port, CHUNKED, trickle())
    assert not whole
