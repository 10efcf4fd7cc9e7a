"""A request is one hop: all of it in one thread of a few that stay, health checks beside them, streams closed when they end."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from django.core import signals
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from arena.handler import Handler

hold = threading.Event()
seen: list[object] = []
inside: list[int] = []
made: list[Handler] = []


def slow(request: HttpRequest) -> HttpResponse:
    inside.append(+1)
    seen.append(sum(inside))
    hold.wait(5)
    inside.append(-1)
    return HttpResponse("slow")


def where(request: HttpRequest) -> HttpResponse:
    seen.append(threading.current_thread().name)
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return HttpResponse(f"{request.get_full_path()} {request.POST.get('word', '')}")


def numbered(request: HttpRequest) -> HttpResponse:
    seen.append(request.GET["n"])
    return HttpResponse("answer")


def broken(request: HttpRequest) -> HttpResponse:
    raise ValueError("broken")


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[str]:
        try:
            yield "first,"
            if request.GET.get("long"):
                await asyncio.sleep(60)
            yield "last"
        finally:
            seen.append("closed")

    return StreamingHttpResponse(pieces())


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("well")


urlpatterns = [
    path(f"{view.__name__}", view) for view in (slow, where, numbered, broken, streamed, healthz)
]  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(settings: object) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["tests.arena.test_handler.outermost", "tests.arena.test_handler.inner"]
    settings.WEB_AT_ONCE = 2
    hold.clear()
    seen.clear()
    inside.clear()
    yield
    hold.set()
    for handler in made:
        handler._threads.shutdown()
        handler._probes.shutdown()
    made.clear()


def site() -> Handler:
    made.append(Handler())
    return made[-1]


def outermost(get_response: Callable) -> Callable:
    async def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info == "/static":
            return HttpResponse("from outside")
        return await get_response(request)

    return middleware


outermost.sync_capable, outermost.async_capable = False, True


def inner(get_response: Callable) -> Callable:
    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info == "/where":
            seen.append(threading.current_thread().name)
        return get_response(request)

    return middleware


async def ask(handler: Handler, path: str, body: bytes = b"", leave: bool = False) -> tuple[int, bytes]:
    """One request; with `leave` the browser goes after the first piece of the answer."""
    scope = {
        "type": "http", "method": "POST" if body else "GET", "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/x-www-form-urlencoded")],
    }  # fmt: skip
    sent, gone, asked = [], asyncio.Event(), []

    async def receive() -> dict:
        if asked:
            await gone.wait()
            return {"type": "http.disconnect"}
        asked.append(1)
        return {"type": "http.request", "body": body}

    async def send(message: dict) -> None:
        sent.append(message)
        if leave and message.get("body"):
            gone.set()

    await handler(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.django_db(transaction=True)
async def test_one_thread_for_all_of_a_request_and_its_connection_goes_back() -> None:
    finished: list[str] = []
    note = lambda **_: finished.append(threading.current_thread().name)  # noqa: E731
    signals.request_finished.connect(note)
    handler = site()
    try:
        assert await ask(handler, "/where?a=1", b"word=x") == (200, b"/where?a=1 x")
    finally:
        signals.request_finished.disconnect(note)
    assert len(set(seen)) == 1 and str(seen[0]).startswith("request")
    assert finished == seen[:1]
    threads = list(handler._threads._threads)
    assert len(threads) == 1
    held = await asyncio.get_running_loop().run_in_executor(handler._threads, lambda: connection.connection)
    assert held is None


async def test_so_many_at_once_and_the_others_in_their_order() -> None:
    handler = site()
    slowly = [asyncio.create_task(ask(handler, "/slow")) for _ in range(2)]
    crowd = [asyncio.create_task(ask(handler, f"/numbered?n={number}")) for number in range(20)]
    await asyncio.sleep(0.1)
    assert seen[:2] == [1, 2] and len(seen) == 2  # the crowd waits
    hold.set()
    assert await asyncio.gather(*crowd) == [(200, b"answer")] * 20
    assert await asyncio.gather(*slowly) == [(200, b"slow")] * 2


async def test_the_order_is_that_of_arrival(settings: object) -> None:
    settings.WEB_AT_ONCE = 1
    handler = site()
    await asyncio.gather(*(ask(handler, f"/numbered?n={number}") for number in range(20)))
    assert seen == [str(number) for number in range(20)]


async def test_health_checks_and_static_files_wait_for_nobody() -> None:
    handler = site()
    slowly = [asyncio.create_task(ask(handler, "/slow")) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert await ask(handler, "/healthz") == (200, b"well")
    assert await ask(handler, "/static") == (200, b"from outside")
    assert not any(task.done() for task in slowly)
    hold.set()
    await asyncio.gather(*slowly)


async def test_a_view_that_breaks_is_a_500_and_leaves_its_place(settings: object) -> None:
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False
    handler = site()
    for _ in range(5):
        assert (await ask(handler, "/broken"))[0] == 500
    assert (await ask(handler, "/nowhere"))[0] == 404
    assert await ask(handler, "/healthz") == (200, b"well")


async def test_a_stream_is_sent_to_its_end_and_closed() -> None:
    assert await ask(site(), "/streamed") == (200, b"first,last")
    assert seen == ["closed"]


async def test_a_stream_ends_when_its_reader_leaves() -> None:
    async with asyncio.timeout(5):
        assert await ask(site(), "/streamed?long=1", leave=True) == (200, b"first,")
    assert seen == ["closed"]


@pytest.mark.parametrize("path", ["/where", "/slow"])
async def test_a_browser_that_leaves_before_its_body_has_come_is_not_answered(path: str) -> None:
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    await site()(scope, receive, send)
    assert sent == [] and seen == []
