"""What the ticker says: aggregate figures only, so that nobody can see which model is working.

A beat task computes the figures once for all sockets, and only while somebody listens. Consumers read the last figures from the
cache and hold no database connection.
"""

from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache

from arena.clock import now
from arena.ids import uuid7_floor
from arena.live import broadcast
from arena.models import Turn, VoteEvent
from arena.models.battles import Origin, TurnState
from arena.models.votes import EventKind

LATEST = "live:ticker"
VOTES_WEEK = "live:votes-week"
VOTES_WEEK_S = 60
WEEK = timedelta(days=7)


def figures() -> dict[str, Any]:
    """Battles whose answers are being written now, and live votes of the last seven days (at most a minute old)."""
    return {
        "type": "ticker",
        "battles_now": Turn.objects.exclude(state=TurnState.DONE).count(),
        "votes_week": cache.get_or_set(VOTES_WEEK, votes_this_week, VOTES_WEEK_S),
    }


def votes_this_week() -> int:
    cast = VoteEvent.objects.filter(kind=EventKind.CAST, origin=Origin.LIVE)
    return cast.filter(id__gte=uuid7_floor(now() - WEEK)).count()


def tick() -> None:
    """Compute and send what somebody listens to; nothing when nobody does."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        if broadcast.listeners(broadcast.EVERYONE, client):
            message = figures()
            cache.set(LATEST, message, 3 * settings.LIVE_TICK_S)
            broadcast.send(broadcast.EVERYONE, message)
