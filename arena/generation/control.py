"""The stop button's path to the worker: a pub/sub message now, the row's stop flags at the next lease renewal."""

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import cache
from uuid import UUID

import redis
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from arena.models import Side
from arena.streams import events

log = logging.getLogger(__name__)
CHANNEL = "turn-stop"
FORGET_AT_ONCE = 1000


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def tell_stop(turn_id: UUID, sides: Iterable[Side]) -> None:
    """Tell whichever worker holds the turn. Losing the message only delays the stop to the next renewal."""
    try:
        _client().publish(CHANNEL, f"{turn_id} {''.join(sides)}")
    except (RedisError, OSError) as error:
        log.warning("stop of %s waits for the lease renewal: %s", turn_id, error)


def forget_stream(turn_id: UUID) -> None:
    """Drop what a turn has streamed: it is about to be written again."""
    try:
        _client().delete(events.key(turn_id))
    except (RedisError, OSError) as error:
        log.warning("old stream of %s stays until the worker resets it: %s", turn_id, error)


def forget_streams(turn_ids: Sequence[UUID]) -> None:
    """Drop what erased turns have streamed. Losing the message leaves a stream to its expiry (STREAM_TTL_S)."""
    try:
        for start in range(0, len(turn_ids), FORGET_AT_ONCE):
            _client().delete(*map(events.key, turn_ids[start : start + FORGET_AT_ONCE]))
    except (RedisError, OSError) as error:
        log.warning("%d streams of erased turns stay until they expire: %s", len(turn_ids), error)


async def stops(client: Redis) -> AsyncIterator[tuple[UUID, set[Side]]]:
    """Stop messages as they come. Ends when Valkey goes away."""
    async with client.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(CHANNEL)
        async for message in channel.listen():
            turn_id, _, letters = message["data"].partition(" ")
            yield UUID(turn_id), {Side(letter) for letter in letters}
