"""The one reader of a web process: a single blocking XREAD over every stream that somebody watches.

A viewer first replays from its own position (XRANGE), then takes what the reader fans out. A viewer that falls behind
loses its queue, not events: it replays again from its last id. No thread and no connection per viewer.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

from django.conf import settings
from redis.exceptions import RedisError

from arena.streams import events
from arena.streams.endings import Endings
from arena.streams.publish import connect

log = logging.getLogger(__name__)
BACKLOG = 256  # events a viewer may lag behind before it replays
PAGE = 500  # entries per XRANGE
BLOCK_MS = 5000
RETRY_S = 0.5
FIELD = events.FIELD.encode()
WAKE_TTL_S = 3600  # a process that is gone leaves no key behind

Entry = tuple[bytes, bytes]  # id, event as it is sent


class Viewer:
    """One open SSE: entries that it has not taken yet, and whether it has lost some because they were too many."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.lagging = False
        self.waiter: asyncio.Future[None] | None = None

    @property
    def served(self) -> bool:
        return bool(self.entries) or self.lagging

    def offer(self, entries: list[Entry]) -> None:
        if self.lagging or len(self.entries) + len(entries) > BACKLOG:
            self.entries, self.lagging = [], True
        else:
            self.entries += entries
        self.wake()

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def wait(self, timeout_s: float) -> bool:
        """Until something was offered; False when nothing came in time."""
        if not self.served:
            loop = asyncio.get_running_loop()
            self.waiter = loop.create_future()
            timer = loop.call_later(timeout_s, self.wake)
            try:
                await self.waiter
            finally:
                timer.cancel()
        return self.served

    def take(self) -> list[Entry]:
        taken, self.entries = self.entries, []
        return taken


def _after(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence or 0)


class Hub:
    """Shared by every viewer of one event loop."""

    def __init__(self) -> None:
        self.redis = connect(decode_responses=False)
        self.reader_redis = connect(socket_timeout=BLOCK_MS / 1000 + 5, decode_responses=False)
        self.wake_key = f"wake:{uuid4()}".encode()
        self.wake_id = b"0"
        self.viewers: dict[bytes, set[Viewer]] = {}
        self.cursors: dict[bytes, bytes] = {}
        self.task: asyncio.Task[None] | None = None
        self.endings = Endings()
        self.overflows = 0  # viewers that fell behind and replay

    async def close(self) -> None:
        """Stop reading and close both connections."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.redis.aclose()
        await self.reader_redis.aclose()

    async def watch(self, turn_id: UUID, last_id: bytes) -> AsyncGenerator[list[Entry], None]:
        """Entries after `last_id`, without gap or repeat; an empty list whenever nothing came for the keep-alive time."""
        key, viewer = events.key(turn_id).encode(), Viewer()
        self.viewers.setdefault(key, set()).add(viewer)
        self.cursors.setdefault(key, last_id)
        try:
            await self._wake()
            behind = True  # there may be entries that only a replay finds
            while True:
                with suppress(
                    RedisError, OSError
                ):  # Valkey is away: until a replay succeeds, nothing newer may be told
                    while behind and (missed := await self._page(key, last_id)):
                        last_id = missed[-1][0]
                        yield missed
                    behind = False
                came = await viewer.wait(settings.SSE_KEEPALIVE_S)
                entries, after = viewer.take(), _after(last_id)
                if viewer.lagging:
                    viewer.lagging, behind = False, True
                    self.overflows += 1
                elif not came:
                    yield []
                    behind = True  # costs one XRANGE per keep-alive, and mends whatever a lost connection missed
                elif not behind and (fresh := [entry for entry in entries if _after(entry[0]) > after]):
                    last_id = fresh[-1][0]
                    yield fresh
        finally:
            self._leave(key, viewer)

    def _leave(self, key: bytes, viewer: Viewer) -> None:
        watching = self.viewers.get(key, set())
        watching.discard(viewer)
        if not watching:
            self.viewers.pop(key, None)
            self.cursors.pop(key, None)

    async def _page(self, key: bytes, last_id: bytes) -> list[Entry]:
        return _entries(await self.redis.xrange(key, b"(" + last_id, "+", count=PAGE))

    async def _wake(self) -> None:
        """Let the reader notice a new stream: it may be blocked on the old set."""
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._read_for_ever(), name="stream-hub")
            return
        with suppress(RedisError, OSError):
            pipe = self.redis.pipeline(transaction=False)
            await pipe.xadd(self.wake_key, {"w": "1"}, maxlen=1).expire(self.wake_key, WAKE_TTL_S).execute()

    async def _read_for_ever(self) -> None:
        while self.viewers:
            try:
                await self._read_once()
            except (RedisError, OSError) as error:
                log.warning("stream reader lost Valkey (%s); trying again", error)
                await asyncio.sleep(RETRY_S)

    async def _read_once(self) -> None:
        wanted = {key: self.cursors[key] for key in self.viewers} | {self.wake_key: self.wake_id}
        for key, page in await self.reader_redis.xread(wanted, block=BLOCK_MS, count=PAGE) or ():
            if key == self.wake_key:
                self.wake_id = page[-1][0]
                continue
            if key in self.cursors:
                self.cursors[key] = page[-1][0]
            entries = _entries(page)
            for viewer in self.viewers.get(key, ()):
                viewer.offer(entries)


def _entries(page: list[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    return [(entry_id, fields[FIELD]) for entry_id, fields in page]


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def overflows() -> int:
    """How often a viewer of this process fell behind and had to replay."""
    return sum(one.overflows for one in _hubs.values())
