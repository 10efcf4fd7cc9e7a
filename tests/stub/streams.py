"""The stub engine's open answers, all written by one timer."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from tests.stub import prose
from tests.stub.behaviour import Behaviour

MAX_BUFFERED = 1024 * 1024  # a reader this far behind is cut off


def frame(data: bytes) -> bytes:
    """One HTTP/1.1 chunk: the ticker writes to the transport itself, past aiohttp's per-write coroutine."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(payload: dict[str, Any] | str) -> bytes:
    body = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
    return f"data: {body}\n\n".encode()


@dataclass(eq=False)
class Stream:
    """One open answer: `sent` of its `words` are out; `done` resolves to an outcome."""

    transport: asyncio.Transport
    words: list[str]
    what: Behaviour
    head: dict[str, Any]
    done: asyncio.Future[str]
    start: float
    sent: int = 0
    last_comment: float = 0.0
    seed: int = 0
    held: bool = field(init=False)  # silent after some words, until `go`
    limit: int = field(init=False)
    around: tuple[bytes, bytes] = field(init=False)  # what stands before and after the text of a delta

    def __post_init__(self) -> None:
        stops = self.what.fault in {"truncate", "hang", "garbage", "error"}
        self.held = bool(self.what.hold and self.what.after) and not stops
        self.limit = min(self.what.after, len(self.words)) if stops or self.held else len(self.words)
        choice = {"index": 0, "delta": {"content": 0}, "finish_reason": None}
        before, after = event({**self.head, "choices": [choice]}).split(b'"content":0')
        self.around = before + b'"content":', after

    def delta(self, text: str) -> bytes:
        return self.around[0] + json.dumps(text).encode() + self.around[1]

    def tick(self, now: float) -> None:
        """Write what is due at `now`."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size() > MAX_BUFFERED:
            self.finish("disconnected")
            return
        if now < self.start:
            self.comment(now)
            return
        due = self.limit if self.what.rate <= 0 else min(self.limit, int((now - self.start) * self.what.rate) + 1)
        if due > self.sent:
            if not self.sent and self.what.prose:
                self.words[0] = f"t{time.monotonic():.6f}s{prose.number(self.seed)}"
            text = "".join(f"{word} " for word in self.words[self.sent : due])
            self.transport.write(frame(self.delta(text)))
            self.sent = due
        if self.sent >= self.limit and self.what.fault != "hang" and not self.held:
            self.finish("sent")

    def go(self, now: float) -> None:
        """No longer held."""
        if math.isinf(self.start):
            self.start = now + self.what.jitter
        elif self.held:
            self.held, self.limit = False, len(self.words)
            self.start = now - self.sent / self.what.rate if self.what.rate > 0 else now

    def comment(self, now: float) -> None:
        if self.what.queued and now - self.last_comment >= 1.0:
            self.last_comment = now
            line = f": queued position={self.what.queued} eta_s={self.start - now:.1f}\n\n"
            self.transport.write(frame(line.encode()))

    def finish(self, outcome: str) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


class Stub:
    """The server's state: one ticker for all streams, and what has arrived."""

    def __init__(self, key: str | None, tick_s: float) -> None:
        self.key, self.tick_s = key, tick_s
        self.streams: set[Stream] = set()
        self.reset()

    def reset(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.log: deque[dict[str, Any]] = deque(maxlen=200)
        self.counts: Counter[str] = Counter()
        self.peak = len(self.streams)

    def go(self) -> None:
        """Let those begin that were held."""
        now = time.monotonic()
        for stream in self.streams:
            stream.go(now)

    async def ticker(self) -> None:
        while True:
            now = time.monotonic()
            for stream in list(self.streams):
                stream.tick(now)
            await asyncio.sleep(max(0.001, self.tick_s - (time.monotonic() - now)))
