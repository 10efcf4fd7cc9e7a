"""The worker's side: events of all turns collect here and leave together, one script call per tick."""

import logging
from collections.abc import Callable, Iterator
from time import monotonic
from uuid import UUID

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from arena.streams import events

log = logging.getLogger(__name__)
MOST_BYTES = 1 << 20  # of one call, so that a large batch (every turn again, after a loss) does not hold Valkey up

# KEYS: the stream of each event. ARGV: the bound of a stream, then each event and the seconds that its stream shall live from
# now on ("" = as before). One command and one answer however many turns are open, and readers see the whole tick at once.
ADD = """
for i, key in ipairs(KEYS) do
  redis.call('XADD', key, 'MAXLEN', '~', ARGV[1], '*', 's', ARGV[2 * i])
  if ARGV[2 * i + 1] ~= '' then redis.call('EXPIRE', key, ARGV[2 * i + 1]) end
end
"""


def connect(socket_timeout: float | None = 5, decode_responses: bool = True) -> Redis:
    """A client that reports a lost connection instead of hiding it: after a loss, text must be published again."""
    return Redis.from_url(
        settings.REDIS_URL,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=socket_timeout,
        socket_connect_timeout=2,
        decode_responses=decode_responses,
    )


class Publisher:
    """Collects events and flushes them together. After a loss, `snapshot(turn)` says what a turn looks like so far."""

    def __init__(self, redis: Redis, snapshot: Callable[[UUID], list[events.Event]]) -> None:
        self.redis = redis
        self.add_script = redis.register_script(ADD)
        self.snapshot = snapshot
        self.pending: dict[UUID, list[events.Event]] = {}
        self.renew_at: dict[UUID, float] = {}  # when a stream's time to live is set again
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
        for turn_id in self.renew_at.keys() - open_turns:
            del self.renew_at[turn_id]
        if self.lost:
            self.renew_at.clear()
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
        keys: list[str] = []
        arguments: list[bytes | int | str] = [settings.STREAM_MAXLEN]
        size = 0
        for key, told, ttl in self._entries(pending):
            if size + len(told) > MOST_BYTES and keys:
                await self.add_script(keys=keys, args=arguments)
                keys, arguments, size = [], arguments[:1], 0
            keys.append(key)
            arguments += (told, ttl)
            size += len(told)
        await self.add_script(keys=keys, args=arguments)
        if dropped := set(self.dropped):
            await self.redis.delete(*map(events.key, dropped))
            self.dropped -= dropped

    def _entries(self, pending: dict[UUID, list[events.Event]]) -> Iterator[tuple[str, bytes, int | str]]:
        """(stream, event, its new time to live or "") of everything that is to be sent, each turn's in order."""
        now = monotonic()
        for turn_id, batch in pending.items():
            key = events.key(turn_id)
            for event in batch:
                yield key, events.encoded(event), self._ttl(turn_id, event, now)

    def _ttl(self, turn_id: UUID, event: events.Event, now: float) -> int | str:
        if (
            event[0] == events.DONE
        ):  # PostgreSQL tells it from now on; the stream is kept only for those who are reading it
            return settings.STREAM_DONE_TTL_S
        if now < self.renew_at.get(turn_id, 0.0):
            return ""
        self.renew_at[turn_id] = now + settings.STREAM_TTL_S / 2
        return settings.STREAM_TTL_S
