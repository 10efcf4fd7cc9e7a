"""Say something to every open socket of a group, from synchronous code.

Broadcasts are announcements, never the record: when Valkey is away, what they announce is still stored, and browsers see it at
their next load.
"""

import logging
from typing import Any

import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

EVERYONE = "live"
STAFF = "live.ops"

log = logging.getLogger(__name__)


def send(group: str, message: dict[str, Any]) -> bool:
    """Send `message` (JSON, with a `type` that live.js knows) to a group; False when Valkey cannot be reached."""
    try:
        async_to_sync(get_channel_layer().group_send)(group, {"type": "forward", "message": message})
    except (redis.RedisError, OSError) as error:
        log.warning("not broadcast (%s): %s", message.get("type"), error)
        return False
    return True


def listeners(group: str, client: redis.Redis) -> int:
    """Web processes that have at least one socket in the group; a process subscribes once, however many it holds."""
    ((_channel, count),) = client.pubsub_numsub(f"{settings.CHANNEL_PREFIX}__group__{group}")
    return int(count)
