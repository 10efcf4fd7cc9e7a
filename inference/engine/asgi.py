"""The little of HTTP that the engine needs on top of ASGI: bounded bodies, JSON answers, event streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from inference.engine.errors import ApiError, bad_request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_TIMEOUT_S = 30.0


class Disconnected(Exception):
    """The client has gone: there is nobody to answer."""


class Http:
    """One HTTP exchange."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._query: bytes = scope.get("query_string", b"")
        self._headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.started = False

    def header(self, name: str) -> str | None:
        """A request header by its lower-case name."""
        return self._headers.get(name)

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most` in the query string. Raises ApiError (400)."""
        given = parse_qs(self._query.decode("latin-1"), keep_blank_values=True).get(name)
        if given is None:
            return default
        if not (given[-1].isascii() and given[-1].isdigit() and len(given[-1]) < 10 and 1 <= int(given[-1]) <= most):
            raise bad_request(f"`{name}` must be a whole number from 1 to {most}", name)
        return int(given[-1])

    async def body(self, max_bytes: int, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
        """The whole request body. Raises ApiError 413 beyond `max_bytes`, 408 when it does not come; Disconnected."""
        length = self.header("content-length") or "0"
        if not length.isdigit():
            raise bad_request("Content-Length is not a number")
        if int(length) > max_bytes:
            raise self._too_large(max_bytes)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._read(max_bytes)
        except TimeoutError:
            raise ApiError(408, f"the request body did not arrive within {timeout_s:g} s", code="timeout") from None

    async def _read(self, max_bytes: int) -> bytes:
        parts, size, more = [], 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > max_bytes:
                raise self._too_large(max_bytes)
            more = message.get("more_body", False)
        return b"".join(parts)

    @staticmethod
    def _too_large(max_bytes: int) -> ApiError:
        return ApiError(413, f"the request body is larger than {max_bytes} bytes", code="body_too_large")

    async def json(self, max_bytes: int) -> Any:
        """The request body as JSON. Raises ApiError."""
        raw = await self.body(max_bytes)
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise bad_request(f"the body is not valid JSON: {error}") from None

    async def gone(self) -> None:
        """Returns when the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, content_type: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Send status and headers."""
        self.started = True
        all_headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store"), *(headers or [])]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})

    async def write(self, data: bytes, more: bool = True) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(
        self, status: int, body: bytes, content_type: str, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        """A complete answer."""
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, content_type, [length, *(headers or [])])
        await self.write(b"" if self.method == "HEAD" else body, more=False)

    async def answer_json(
        self, payload: object, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        """A complete JSON answer."""
        await self.answer(status, dumps(payload), "application/json", headers)

    async def answer_error(self, error: ApiError) -> None:
        """`error` in OpenAI's shape; in a stream that has begun, as its last event."""
        with contextlib.suppress(OSError):  # nobody is left to read it
            if self.started:
                await self.write(event(dumps(error.body())), more=False)
            else:
                await self.answer_json(error.body(), error.status, error.headers())


def dumps(payload: object) -> bytes:
    """Compact UTF-8 JSON. NaN and infinities become null-free errors early: ValueError."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def event(data: bytes) -> bytes:
    """One SSE event."""
    return b"data: %b\n\n" % data


def comment(text: str) -> bytes:
    """One SSE comment, ignored by event readers."""
    return f": {text}\n\n".encode()
