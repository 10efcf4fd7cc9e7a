"""The event loop's end of one request to the engine: news come in, an abort goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from inference.engine.errors import ApiError
from inference.engine.sequence import Sequence, StepOutput


@dataclass(frozen=True, slots=True)
class Queued:
    """A waiting request's place (1 = next) and the estimated seconds until it starts."""

    position: int
    eta_s: float


@dataclass(slots=True)
class News:
    """What has come for a request since it last asked: outputs in order, the newest queue place."""

    outputs: list[StepOutput] = field(default_factory=list)
    queued: Queued | None = None


class Ticket:
    """The event loop's end of one submitted sequence."""

    def __init__(self, seq: Sequence, abort: Callable[[Ticket], None]) -> None:
        self.seq = seq
        self._abort = abort
        self._news = News()
        self._failure: ApiError | None = None
        self._event = asyncio.Event()

    def put(self, output: StepOutput) -> None:
        """Called in the event loop: one more output."""
        self._news.outputs.append(output)
        self._event.set()

    def put_queued(self, queued: Queued) -> None:
        """Called in the event loop: where it stands."""
        self._news.queued = queued
        self._event.set()

    def fail(self, error: ApiError) -> None:
        """Called in the event loop: it ends with `error`, after the outputs that came before."""
        self._failure = self._failure or error
        self._event.set()

    async def news(self) -> News:
        """Wait for news. Raises ApiError when the request was shed, failed or abandoned."""
        await self._event.wait()
        self._event.clear()
        if self._failure is not None and not self._news.outputs:
            raise self._failure
        if self._failure is not None:
            self._event.set()
        news, self._news = self._news, News()
        return news

    def abort(self) -> None:
        """The caller is gone or has enough; the engine forgets the sequence. Harmless after the end."""
        self._abort(self)
