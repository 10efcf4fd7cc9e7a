"""The worker's side: events of all turns collect here and leave in one pipelined XADD per tick."""

import logging
from collections.abc import Callable
from time import monotonic
from uuid import UUID

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from arena.streams import events

log = logging.getLogger(__name__)


def connect(socket_timeout: float | None = 5) -> Redis:
    """A client that reports a lost connection instead of hiding it: after a loss, text must be published again."""
    return Redis.from_url(
        settings.REDIS_URL,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=socket_timeout,
        socket_connect_timeout=2,
        decode_responses=True,
    )


class Publisher:
    """Collects events and flushes them together. After a loss, `snapshot(turn)` says what a turn looks like so far."""

    def __init__(self, redis: Redis, snapshot: Callable[[UUID], list[events.Event]]) -> None:
        self.redis = redis
        self.snapshot = snapshot
        self.pending: dict[UUID, list[events.Event]] = {}
        self.dropped: set[UUID] = set()
        self.lost = False
        self.events = self.losses = 0
        self.slowest_s = 0.0  # longest flush since the last heartbeat

    def add(self, turn_id: UUID, *batch: events.Event) -> None:
        self.pending.setdefault(turn_id, []).extend(batch)

    def drop(self, turn_id: UUID) -> None:
        """Take the turn's stream out of Valkey with the next flush, behind everything that is on its way there."""
        self.pending.pop(turn_id, None)
        self.dropped.add(turn_id)

    async def flush(self, open_turns: set[UUID]) -> bool:
        """Send everything that is pending. False when Valkey is away: events are dropped, snapshots follow later."""
        pending, self.pending = self.pending, {}
        if self.lost:
            pending = {turn_id: self.snapshot(turn_id) for turn_id in open_turns} | {
                turn_id: batch for turn_id, batch in pending.items() if turn_id not in open_turns
            }
        if not pending and not self.dropped and not self.lost:
            return True
        begun = monotonic()
        try:
            await self._send(pending)
        except (RedisError, OSError) as error:
            if not self.lost:
                self.losses += 1
                log.warning("Valkey is away (%s); %d turns will be published again", error, len(open_turns))
            self.lost = True
            return False
        self.lost = False
        self.events += sum(map(len, pending.values()))
        self.slowest_s = max(self.slowest_s, monotonic() - begun)
        return True

    def figures(self) -> dict[str, float]:
        """Events sent, times Valkey was lost, and the slowest flush since this was last asked."""
        slowest, self.slowest_s = self.slowest_s, 0.0
        return {"events": self.events, "losses": self.losses, "flush_s": slowest}

    async def _send(self, pending: dict[UUID, list[events.Event]]) -> None:
        pipe = self.redis.pipeline(transaction=False)
        for turn_id, batch in pending.items():
            name = events.key(turn_id)
            for event in batch:
                pipe.xadd(name, events.fields(event), maxlen=settings.STREAM_MAXLEN, approximate=True)
            # PostgreSQL tells a finished turn; its stream is kept only for those who are reading it.
            ended = batch[-1][0] == events.DONE
            pipe.expire(name, settings.STREAM_DONE_TTL_S if ended else settings.STREAM_TTL_S)
        dropped = set(self.dropped)
        for turn_id in dropped:
            pipe.delete(events.key(turn_id))
        await pipe.execute()
        self.dropped -= dropped
