"""Streams one answer from an OpenAI-compatible endpoint, over TCP or a unix socket. No Django, no retries, no policy.

What a provider says when it fails may hold account names, model names and the prompt itself. It is kept in
`UpstreamFailed.said`, which no repr, log line or public page shows; operators see it on the admin's test page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Self

import aiohttp

from inference.events import Event, Finished, GenerationFailed, Opened, Text, Wanted
from inference.sse import SseBroken, SseParser
from inference.target import Target
from inference.watchdog import Watchdog
from inference.wire import Answer, WireError, request_body

Pace = Callable[[], Awaitable[None]]
NOT_STREAMS = {"text/html", "application/json"}
SECRETS = re.compile(r"(?i)(bearer\s+|\b(?:sk|pk|gsk|hf|key|xai)[-_])[\w.~+/=-]{6,}")
KEEPALIVE_S = 4.0  # below the 5 s after which many servers close an idle connection
LAST_CHUNK_S = 0.25  # grace for the end of the body after the last event, so that the connection can be used again
CODE_OF_STATUS = {408: "timeout", 429: "rate_limited", 503: "busy", 504: "timeout"}


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """`connections` bounds the pool of TCP and of each unix socket; the others are bytes."""

    connections: int = 2048
    max_line: int = 1 << 20
    max_stream: int = 16 << 20
    max_error: int = 4096


class UpstreamFailed(GenerationFailed):
    """A failure with its evidence: the HTTP status (None = no response) and the provider's words, cut and redacted."""

    def __init__(self, code: str, retry_after_s: float = 0.0, status: int | None = None, said: str = "") -> None:
        super().__init__(code, retry_after_s)
        self.status, self.said = status, said


class Client:
    """All connections of one process; use as an async context manager on the loop that streams."""

    def __init__(self, limits: ClientLimits | None = None, pace: Pace | None = None) -> None:
        """`pace` is awaited after each piece of text, so that its owner decides how often a stream is read."""
        self.limits, self._pace = limits or ClientLimits(), pace
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop every connection."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    def session(self, target: Target) -> aiohttp.ClientSession:
        """The one session for TCP, or the one of this unix socket."""
        path = target.socket_path
        if path not in self._sessions:
            self._sessions[path] = self._open_session(path)
        return self._sessions[path]

    def _open_session(self, path: str | None) -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if path is None:
            connector = aiohttp.TCPConnector(
                limit=self.limits.connections, ttl_dns_cache=60, keepalive_timeout=KEEPALIVE_S
            )
        else:
            connector = aiohttp.UnixConnector(path, limit=self.limits.connections, keepalive_timeout=KEEPALIVE_S)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def stream(self, target: Target, wanted: Wanted) -> AsyncGenerator[Event, None]:
        """Opened, then Queued and Text in any number, then Finished. Raises UpstreamFailed.

        Closing the generator (or cancelling the task that reads it) closes the connection, which aborts the request there.
        """
        response = await self._post(target, wanted)
        watchdog = Watchdog(target.timeouts, response.close)
        reader = Reader(response, watchdog, self.limits)
        try:
            yield Opened(target.deployment_id)
            while not reader.ended:
                for event in await reader.read():
                    yield event
                if self._pace is not None and reader.answer.has_text and not reader.ended:
                    await self._pace()
            yield reader.finished()
            await _drain(response)
        except (GenerationFailed, SseBroken, WireError, aiohttp.ClientError, OSError) as error:
            raise _broken(error, watchdog.expired, reader.answer.has_text, target.key) from None
        finally:
            watchdog.stop()
            response.close()

    async def _post(self, target: Target, wanted: Wanted) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(target.timeouts.connect_s + target.timeouts.first_token_s):
                try:
                    response = await self._send(target, wanted)
                except aiohttp.ClientConnectorError:
                    raise
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    # Most likely a kept connection that the server had given up meanwhile.
                    response = await self._send(target, wanted)
        except aiohttp.ServerTimeoutError:
            raise UpstreamFailed("unreachable", said="no connection in time") from None
        except TimeoutError:
            raise UpstreamFailed("timeout", said="no response in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamFailed("unreachable", said=redact(str(error), target.key)) from None
        if response.status != 200 or response.content_type in NOT_STREAMS:
            raise await self._refused(response, target)
        return response

    async def _send(self, target: Target, wanted: Wanted) -> aiohttp.ClientResponse:
        return await self.session(target).post(
            f"{target.url}/chat/completions",
            json=request_body(target, wanted),
            headers=_headers(target),
            timeout=aiohttp.ClientTimeout(total=None, connect=target.timeouts.connect_s),
            allow_redirects=False,
        )

    async def _refused(self, response: aiohttp.ClientResponse, target: Target) -> UpstreamFailed:
        """The failure that a response without a stream stands for."""
        try:
            async with asyncio.timeout(target.timeouts.connect_s):
                body = await response.content.read(self.limits.max_error)
        except (aiohttp.ClientError, OSError, TimeoutError):
            body = b""
        finally:
            response.close()
        status = response.status
        code = CODE_OF_STATUS.get(status) or ("server_error" if status >= 500 else "rejected")
        said = redact(body.decode(errors="replace"), target.key)
        return UpstreamFailed("bad_response" if status < 400 else code, _retry_after(response), status, said)


class Reader:
    """The open response of one request, read as far as the next events."""

    def __init__(self, response: aiohttp.ClientResponse, watchdog: Watchdog, limits: ClientLimits) -> None:
        self.answer, self.ended = Answer(), False
        self._response, self._watchdog, self._limits = response, watchdog, limits
        self._parser, self._total = SseParser(limits.max_line), 0

    async def read(self) -> list[Event]:
        """The events of the next bytes; sets `ended` at the end of the stream. Raises SseBroken, WireError, aiohttp's errors."""
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError):
            if self.answer.reason is None:
                raise
            chunk = b""  # the text is whole: only the token counts or the farewell are missing
        self._total += len(chunk)
        if self._total > self._limits.max_stream:
            raise SseBroken(f"the stream is longer than {self._limits.max_stream} bytes")
        text, deltas, queued = self.answer.read(self._parser.feed(chunk))
        self.ended = self.answer.done or not chunk
        events: list[Event] = []
        if queued is not None:
            self._watchdog.queued()
            events.append(queued)
        if self.answer.began:
            self._watchdog.heard(ending=self.answer.reason is not None)
        if text:
            events.append(Text(text, deltas))
        return events

    def finished(self) -> Finished:
        """The end of a stream that closed in order. Raises UpstreamFailed for one that only stopped, or said nothing."""
        answer = self.answer
        if answer.reason is None and not answer.done:
            raise UpstreamFailed("truncated", said="the stream stopped without an end")
        if not answer.has_text:
            raise UpstreamFailed("bad_response", said="the answer has no text")
        return Finished(answer.reason or "stop", answer.tokens_in, answer.tokens_out)


def _headers(target: Target) -> dict[str, str]:
    headers = {"Accept": "text/event-stream"}
    if target.key:
        headers["Authorization"] = f"Bearer {target.key}"
    return headers


async def _drain(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(LAST_CHUNK_S):
            if not await response.content.readany():
                response.release()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return  # the answer is whole; only the connection cannot be used again


def _broken(error: Exception, expired: bool, after_text: bool, key: str) -> UpstreamFailed:
    if expired:
        failed = UpstreamFailed("timeout", said="the answer paused or lasted too long")
    elif isinstance(error, UpstreamFailed):
        failed = error
    elif isinstance(error, WireError):
        failed = UpstreamFailed(error.code, said=redact(error.said, key))
    elif isinstance(error, SseBroken):
        failed = UpstreamFailed("bad_response", said=str(error))
    else:
        failed = UpstreamFailed("truncated", said=redact(str(error), key))
    failed.after_text = after_text
    return failed


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Retry-After in seconds; a date or nonsense counts as unsaid."""
    value = response.headers.get("Retry-After", "").strip()
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", value) else 0.0


def redact(text: str, key: str) -> str:
    """`text` without the key, or anything that looks like one, cut to 500 characters."""
    if key:
        text = text.replace(key, "[key]")
    return SECRETS.sub(r"\1[key]", text)[:500]
