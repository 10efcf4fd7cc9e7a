"""Bounds what a request may send. Django reads a body to its end, onto the disk, before it looks at its size."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from django.conf import settings

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

READ_ON_BYTES = 64_000_000  # of a refused body, read and thrown away so that its sender gets to read the answer
READ_ON_S = 5.0  # how long the next piece of it is waited for
GONE = {"type": "http.disconnect"}
TOO_LARGE = b"This request is larger than anything this site takes. Shorten your text and send it again.\n"
TOO_SLOW = b"The text did not come in time. Send it again.\n"


class BodyLimit:
    """ASGI middleware: 413 for a body of more than `most` bytes, announced or not; 408 for one that takes too long."""

    def __init__(self, app: Callable[..., Awaitable[None]], most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive, self.most)
        if _announced(scope) > self.most:
            body.refused = 413
        else:
            await self.app(scope, body.receive, send)
        if body.refused:  # Django has taken it for a browser that left, and has said nothing
            await _refuse(send, body.refused, TOO_LARGE if body.refused == 413 else TOO_SLOW)
            await body.read_on()
            await send({"type": "http.response.body"})  # and now the server closes


class Body:
    """What is received of one request; `refused` is the status when it was too much or too slow."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most
        self._until = asyncio.get_running_loop().time() + settings.WEB_BODY_S
        self._whole = False
        self.refused = 0

    async def receive(self) -> dict[str, Any]:
        """The next message; the browser seems to be gone as soon as the body is beyond its bounds."""
        if self.refused:
            return GONE
        try:
            async with asyncio.timeout_at(None if self._whole else self._until):
                message = await self._receive()
        except TimeoutError:
            self.refused = 408
            return GONE
        self._whole = self._whole or not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.refused = 413
            return GONE
        return message

    async def read_on(self) -> None:
        """Throw away what still comes, within bounds. Closing on unread bytes resets the connection, and whoever sends to the
        end before he reads, as most programs do, would never see why he was refused."""
        left = READ_ON_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._until + READ_ON_S):
                while not self._whole and left > 0:
                    async with asyncio.timeout(READ_ON_S):
                        message = await self._receive()
                    self._whole = not message.get("more_body", False)
                    left -= len(message.get("body", b""))


def _announced(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() and len(length) < 20 else 0


async def _refuse(send: Send, status: int, words: bytes) -> None:
    """All of the answer but its end."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(words)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words, "more_body": True})
