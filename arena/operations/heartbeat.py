"""Signs of life: every process writes a small key to Valkey every few seconds, with figures that only it knows.

Who writes proves what: worker-generate writes from inside its asyncio loop, the web process from its own, the other workers from
their consumer's timer, and beat whenever it has published a task. A process that hangs there stops being alive. Ages come from
the keys' remaining life, so clocks of several machines need not agree.
"""

import json
import logging
import os
import socket
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.db import connection

from arena import logs
from arena.operations.usage import usage

log = logging.getLogger(__name__)
INDEX = "ops:beats"
PREFIX = "ops:beat:"
KEPT_S = 600  # how long a silent process is still shown
TIMEOUT_S = 1.0
VITAL = ("worker-generate", "worker-batch", "beat")
STARTED = time.time()


@dataclass(frozen=True, slots=True)
class Beat:
    """The last word of one process. `instance` is `host:pid`."""

    process: str
    instance: str
    age_s: float
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.age_s <= settings.HEARTBEAT_DEAD_S


def tell(figures: dict[str, Any] | None = None) -> bool:
    """Say that this process lives. False when Valkey cannot be reached; that is never the process's end."""
    name = _name()
    told = json.dumps(_own() | (figures or {}))
    try:
        pipe = client(settings.REDIS_URL).pipeline(transaction=False)
        pipe.set(PREFIX + name, told, ex=KEPT_S).sadd(INDEX, name).expire(INDEX, 2 * KEPT_S).execute()
    except (redis.RedisError, OSError) as error:
        log.warning("no heartbeat: %s", error)
        return False
    return True


def tell_sometimes() -> None:
    """`tell`, at most every HEARTBEAT_S."""
    global _told
    if time.monotonic() - _told >= settings.HEARTBEAT_S:
        _told = time.monotonic()
        tell()


_told = 0.0


def leave() -> None:
    """An orderly end: this process is not missed."""
    name = _name()
    try:
        client(settings.REDIS_URL).pipeline().delete(PREFIX + name).srem(INDEX, name).execute()
    except (redis.RedisError, OSError):
        pass  # its key expires


def beats(valkey: redis.Redis | None = None) -> list[Beat]:
    """Every process heard of within KEPT_S, by name and instance. Raises redis.RedisError."""
    valkey = valkey or client(settings.REDIS_URL)
    names = sorted(name.decode() for name in valkey.smembers(INDEX))
    pipe = valkey.pipeline(transaction=False)
    for name in names:
        pipe.get(PREFIX + name).pttl(PREFIX + name)
    answers = pipe.execute() if names else []
    found = []
    for name, value, left_ms in zip(names, answers[::2], answers[1::2], strict=True):
        if value is None:
            valkey.srem(INDEX, name)
            continue
        process, _, instance = name.partition("@")
        found.append(Beat(process, instance, max(0.0, KEPT_S - left_ms / 1000), json.loads(value)))
    return _not_replaced(found)


def _not_replaced(found: list[Beat]) -> list[Beat]:
    """Without the dead whose place another process of the same name on the same machine has taken."""
    taken = {(beat.process, beat.instance.rpartition(":")[0]) for beat in found if beat.alive}
    return [beat for beat in found if beat.alive or (beat.process, beat.instance.rpartition(":")[0]) not in taken]


def living(known: list[Beat], role: str) -> list[Beat]:
    """The living processes of a row of the process table; a second node may be called `worker-generate-2`."""
    return [beat for beat in known if beat.alive and beat.process.startswith(role)]


def _name() -> str:
    return f"{logs.PROCESS}@{socket.gethostname()}:{os.getpid()}"


@cache
def client(url: str) -> redis.Redis:
    """One impatient client per process."""
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)


def _own() -> dict[str, Any]:
    used = usage()
    return {"started": STARTED, "resident_bytes": used.resident_bytes, "cpu_s": used.cpu_s, **_pool()}


def _pool() -> dict[str, int]:
    """Of this process's database connections. A pool that no query has opened is left alone: a fork may follow."""
    pool = connection._connection_pools.get(connection.alias)  # type: ignore[attr-defined]
    stats = pool.get_stats() if pool and not pool.closed else {}
    names = {"pool_size": "db_open", "pool_available": "db_free", "requests_waiting": "db_waiting"}
    return {ours: int(stats.get(theirs, 0)) for theirs, ours in names.items()}
