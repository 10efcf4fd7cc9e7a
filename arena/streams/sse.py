"""`GET /b/<battle>/turns/<n>/stream`: one turn as server-sent events, resumable by event id.

A plain ASGI app in front of Django: Django's middleware and its thread-sensitive context would hold a thread for as
long as each stream is open. The visitor's signed cookie is checked here; strangers get the same 404 as for a wrong id.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error
from django.http import parse_cookie

from arena import logs, visitors
from arena.aio import in_db
from arena.models import Turn
from arena.models.battles import TurnState
from arena.outages import RETRY_AFTER_S, is_outage
from arena.streams import events, replay
from arena.streams.hub import Entry, hub

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)
ENTRY_ID = re.compile(rb"\d{1,19}-\d{1,19}")
START = b"0-0"
_open: Counter[UUID | None] = Counter()  # streams of this process by visitor
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


def open_streams() -> int:
    """Event streams that this process holds open."""
    return _open.total()


async def turn_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI app. 404 for whoever does not own the battle, 405 for anything but GET, 429 for too many open streams, 503
    while the database is away."""
    if scope["method"] != "GET":
        await _plain(send, 405, b"GET only\n", [(b"allow", b"GET")])
        return
    headers = dict(scope["headers"])
    arguments = scope["url_route"]["kwargs"]
    logs.about(arguments["battle"])
    visitor = _visitor(headers.get(b"cookie", b"").decode("latin-1"))
    try:
        turn = await in_db(_owned_turn, arguments["battle"], arguments["number"], visitor)
    except Error as error:
        if not is_outage(error):
            raise
        log.warning("a stream was refused: the database is away (%s)", type(error).__name__)
        await _plain(send, 503, b"try again in a minute\n", [(b"retry-after", b"%d" % RETRY_AFTER_S)])
        return
    if turn is None:
        await _plain(send, 404, b"no such stream\n")
        return
    if _open[visitor] >= settings.SSE_PER_VISITOR:
        await _plain(send, 429, b"too many open streams: close some tabs\n", [(b"retry-after", b"10")])
        return
    last_id = headers.get(b"last-event-id", START)
    _open[visitor] += 1
    try:
        await _stream(*turn, last_id if ENTRY_ID.fullmatch(last_id) else START, receive, send)
    finally:
        _open[visitor] -= 1
        if not _open[visitor]:
            del _open[visitor]


async def _stream(turn_id: UUID, state: str, last_id: bytes, receive: Receive, send: Send) -> None:
    """Write until the turn ends, the browser leaves, or the database is away when the turn's end is asked for: a browser whose
    stream has closed comes back by itself."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    writer = asyncio.create_task(_write(turn_id, state, last_id, send))
    gone = asyncio.create_task(_gone(receive))
    done, pending = await asyncio.wait({writer, gone}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if writer in done:
        error = writer.exception()
        if error is not None and not is_outage(error):
            raise error
        if error is not None:
            log.warning("a stream was closed: the database is away (%s)", type(error).__name__)
        await send({"type": "http.response.body", "body": b""})


async def _write(turn_id: UUID, state: str, last_id: bytes, send: Send) -> None:
    async with aclosing(turn_events(turn_id, state, last_id)) as stream:
        async for chunk in stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def turn_events(turn_id: UUID, state: str, last_id: bytes) -> AsyncGenerator[bytes, None]:
    """The events after `last_id`, up to and with `done`; comments keep the connection alive in between.

    When the stream is quiet, PostgreSQL is asked: a turn that ended there is told from there, so that a browser never
    waits for a stream that was lost.
    """
    yield b"retry: 1000\n\n"
    if state == TurnState.DONE and last_id == START:
        for chunk in await _told(turn_id, last_id):
            yield chunk
        return
    if state == TurnState.QUEUED:
        yield events.wire(last_id, events.encoded(events.status("busy")))
    async with aclosing(hub().watch(turn_id, last_id)) as stream:
        async for entries in stream:
            if not entries:
                yield b": keep-alive\n\n"
                if not await hub().endings.has_ended(turn_id):
                    continue
                for chunk in await _told(turn_id, last_id):
                    yield chunk
                return
            last_id = entries[-1][0]
            chunk, is_over = await _wired(turn_id, entries)
            yield chunk
            if is_over:
                return


async def _wired(turn_id: UUID, entries: list[Entry]) -> tuple[bytes, bool]:
    """Entries as they are sent, up to and with the end, and whether that is among them.

    The end of an earlier attempt, whose turn is being written again, is left out.
    """
    sent: list[bytes] = []
    for entry_id, told in entries:
        ends = events.is_done(told)
        if ends and not await hub().endings.has_ended(turn_id):
            continue
        sent.append(events.wire(entry_id, told))
        if ends:
            return b"".join(sent), True
    return b"".join(sent), False


async def _told(turn_id: UUID, last_id: bytes) -> list[bytes]:
    """A finished turn from PostgreSQL; its end may have been taken back meanwhile (a retry), then there is nothing yet."""
    ended = await in_db(replay.finished, turn_id)
    return [events.wire(last_id, events.encoded(event)) for event in ended or ()]


def _visitor(cookies: str) -> UUID | None:
    """Read like Django does: http.cookies would drop every cookie after one that it does not like."""
    return visitors.read_cookie(parse_cookie(cookies).get(visitors.COOKIE, ""))


def _owned_turn(battle: UUID, number: int, visitor: UUID | None) -> tuple[UUID, str] | None:
    """The turn's id and state."""
    if visitor is None:
        return None
    found = Turn.objects.filter(battle_id=battle, number=number, battle__visitor_id=visitor)
    return found.values_list("pk", "state").first()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _plain(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    head = [(b"content-type", b"text/plain; charset=utf-8"), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
