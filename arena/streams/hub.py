"""The one reader of a web process: a single blocking XREAD over every stream that somebody watches.

A viewer first replays from its own position (XRANGE), then takes what the reader fans out. A viewer that falls behind
loses its queue, not events: it replays again from its last id. No thread and no connection per viewer.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

from django.conf import settings
from redis.exceptions import RedisError

from arena.streams import events
from arena.streams.publish import connect

log = logging.getLogger(__name__)
BACKLOG = 256  # events a viewer may lag behind before it replays
PAGE = 500  # entries per XRANGE
BLOCK_MS = 5000
RETRY_S = 0.5
WAKE_TTL_S = 3600  # a process that is gone leaves no key behind

Entry = tuple[str, str, str]  # id, event name, JSON


class Viewer:
    """One open SSE: a bounded queue and whether it overflowed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Entry] = asyncio.Queue(BACKLOG)
        self.lagging = False

    def offer(self, entry: Entry) -> None:
        try:
            self.queue.put_nowait(entry)
        except asyncio.QueueFull:
            self.lagging = True


def _after(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


class Hub:
    """Shared by every viewer of one event loop."""

    def __init__(self) -> None:
        self.redis = connect()
        self.reader_redis = connect(socket_timeout=BLOCK_MS / 1000 + 5)
        self.wake_key = f"wake:{uuid4()}"
        self.wake_id = "0"
        self.viewers: dict[str, set[Viewer]] = {}
        self.cursors: dict[str, str] = {}
        self.task: asyncio.Task[None] | None = None
        self.overflows = 0  # viewers that fell behind and replay

    async def close(self) -> None:
        """Stop reading and close both connections."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.redis.aclose()
        await self.reader_redis.aclose()

    async def watch(self, turn_id: UUID, last_id: str) -> AsyncGenerator[Entry | None, None]:
        """Entries after `last_id`, without gap or repeat; None whenever nothing came for the keep-alive time."""
        key, viewer = events.key(turn_id), Viewer()
        self.viewers.setdefault(key, set()).add(viewer)
        self.cursors.setdefault(key, last_id)
        try:
            await self._wake()
            replay = True
            while True:
                if replay:
                    async for missed in self._replay(key, last_id):
                        last_id = missed[0]
                        yield missed
                    replay = False
                entry = await self._next(viewer)
                if viewer.lagging:
                    viewer.lagging, viewer.queue, replay = False, asyncio.Queue(BACKLOG), True
                    self.overflows += 1
                elif entry is None:
                    yield None
                    replay = True  # costs one XRANGE per keep-alive, and mends whatever a lost connection missed
                elif _after(entry[0]) > _after(last_id):
                    last_id = entry[0]
                    yield entry
        finally:
            self._leave(key, viewer)

    def _leave(self, key: str, viewer: Viewer) -> None:
        watching = self.viewers.get(key, set())
        watching.discard(viewer)
        if not watching:
            self.viewers.pop(key, None)
            self.cursors.pop(key, None)

    async def _next(self, viewer: Viewer) -> Entry | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.SSE_KEEPALIVE_S):
                return await viewer.queue.get()
        return None

    async def _replay(self, key: str, last_id: str) -> AsyncIterator[Entry]:
        while True:
            try:
                page = await self.redis.xrange(key, f"({last_id}", "+", count=PAGE)
            except (RedisError, OSError):
                return  # the reader reconnects; a later replay starts from the same id
            for entry_id, fields in page:
                last_id = entry_id
                yield entry_id, fields["e"], fields["d"]
            if len(page) < PAGE:
                return

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
        for key, entries in await self.reader_redis.xread(wanted, block=BLOCK_MS, count=PAGE) or ():
            if key == self.wake_key:
                self.wake_id = entries[-1][0]
                continue
            if key in self.cursors:
                self.cursors[key] = entries[-1][0]
            for entry_id, fields in entries:
                for viewer in self.viewers.get(key, ()):
                    viewer.offer((entry_id, fields["e"], fields["d"]))


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
