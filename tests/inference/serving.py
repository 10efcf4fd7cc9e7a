"""Targets at the stub engine, and small servers for what the stub cannot do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

from aiohttp import web

from inference.events import Event, Opened, Text, Wanted
from inference.target import Target, Timeouts

QUICK = Timeouts(connect_s=2.0, first_token_s=1.0, idle_s=0.6, total_s=10.0, queue_s=10.0)


def target(base_url: str, upstream: str = "stub-fast", model: str = "m", **fields: Any) -> Target:
    return Target(
        **{"deployment_id": uuid4(), "adapter": None, "base_url": base_url, "timeouts": QUICK}
        | {"model": model, "upstream_name": upstream}
        | fields
    )


def wanted(model: str = "m", prompt: str = "Hello", **fields: Any) -> Wanted:
    messages = [{"role": "user", "content": prompt}]
    return Wanted(**{"model": model, "adapter": None, "messages": messages, "client": "c", "seed": 7} | fields)


async def collect(stream: AsyncIterator[Event]) -> list[Event]:
    async with aclosing(stream) as events:
        return [event async for event in events]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def opened(events: list[Event]) -> list[Any]:
    return [event.deployment_id for event in events if isinstance(event, Opened)]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler, unix: str = "") -> AsyncIterator[str]:
    """A chat completions endpoint; gives its base URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        if unix:
            await web.UnixSite(runner, unix).start()
            yield f"unix://{unix}"
        else:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def scripted(*chunks: bytes, headers: dict[str, str] | None = None, end: bool = True) -> Handler:
    """Answers every request with these bytes; `end=False` breaks the connection after them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"} | (headers or {}))
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if not end:
            request.transport.abort()
        return response

    return handle
