"""The last figures, as worker-batch has put them into Valkey. Reading them costs a web process two commands and no query."""

import json
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

from arena.operations import heartbeat

KEY = "ops:snapshot"
KEPT_S = 3600
LATE = 3  # ticks


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`data` is what computing.refresh made; `age_s` by Valkey's clock."""

    data: dict[str, Any]
    age_s: float

    @property
    def old(self) -> bool:
        """Nobody should take these for the present."""
        return self.age_s > LATE * max(settings.LIVE_TICK_S, 1.0)


def store(data: dict[str, Any], valkey: redis.Redis) -> None:
    """Raises redis.RedisError."""
    valkey.set(KEY, json.dumps(data, separators=(",", ":")), ex=KEPT_S)


def read(valkey: redis.Redis | None = None) -> Snapshot | None:
    """None while nothing has been computed. Raises redis.RedisError."""
    pipe = (valkey or heartbeat.client(settings.REDIS_URL)).pipeline(transaction=False)
    told, left_ms = pipe.get(KEY).pttl(KEY).execute()
    return Snapshot(json.loads(told), max(0.0, KEPT_S - left_ms / 1000)) if told else None
