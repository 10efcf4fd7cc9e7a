"""How often somebody may ask: token buckets in Valkey, several taken from together or not at all.

Prompts cost their visitor and their address prefix a token each; sign-ins (`arena/sign_in.py`) have buckets of their own.

The script runs atomically on the server and uses the server's clock, so that any number of web processes agree. When
Valkey cannot be reached the answer is no (503, "try again"): a prompt could not be streamed without it either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from math import ceil
from typing import NamedTuple
from uuid import UUID

import redis
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis.commands.core import Script

from arena.errors import Refused

_paid: ContextVar[bool] = ContextVar("paid", default=False)
TIMEOUT_S = 1.0
RETRY_WHEN_DOWN_S = 3.0

# KEYS: one bucket each. ARGV: burst and tokens per second of each, in order. Returns the seconds to wait as text.
TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local wait, tokens = 0, {}
for i, key in ipairs(KEYS) do
  local burst, rate = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local held = redis.call('HMGET', key, 'tokens', 'at')
  local at = math.min(tonumber(held[2]) or now, now)
  tokens[i] = math.min(burst, (tonumber(held[1]) or burst) + (now - at) * rate)
  if tokens[i] < 1 then wait = math.max(wait, (1 - tokens[i]) / rate) end
end
if wait > 0 then return tostring(wait) end
for i, key in ipairs(KEYS) do
  local burst, rate = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  redis.call('HSET', key, 'tokens', tostring(tokens[i] - 1), 'at', string.format('%.6f', now))
  redis.call('PEXPIRE', key, math.ceil((burst / rate + 1) * 1000))
end
return '0'
"""


class Bucket(NamedTuple):
    """Holds at most `burst` tokens, gets `per_minute` back. `name` is its key in Valkey, after "limit:"."""

    name: str
    burst: int
    per_minute: int


def take_from(*buckets: Bucket) -> float:
    """Take one token of each: 0.0 when all had one, else (nothing is taken) seconds until all will.

    Raises redis.RedisError when Valkey cannot be reached within TIMEOUT_S.
    """
    keys = [f"limit:{bucket.name}" for bucket in buckets]
    rates = [number for bucket in buckets for number in (bucket.burst, bucket.per_minute / 60)]
    return float(_script(settings.REDIS_URL)(keys=keys, args=rates))


def take(visitor: UUID | None, group: str) -> float:
    """`take_from` the visitor's bucket, if there is one, and the prefix'."""
    prefix = Bucket(f"prefix:{group}", settings.LIMIT_PREFIX_BURST, settings.LIMIT_PREFIX_PER_MINUTE)
    if visitor is None:
        return take_from(prefix)
    own = Bucket(f"visitor:{visitor.hex}", settings.LIMIT_VISITOR_BURST, settings.LIMIT_VISITOR_PER_MINUTE)
    return take_from(own, prefix)


def charge(visitor: UUID | None, group: str) -> None:
    """Take a token or raise: Refused 429 with the time to wait, 503 when the limits cannot be read. Free inside `paid`."""
    if _paid.get():
        return
    try:
        wait = take(visitor, group)
    except redis.RedisError:
        raise Refused(
            503,
            "limits_unavailable",
            _("The arena cannot take prompts at this moment. Please try again in a few seconds."),
            retry_after=RETRY_WHEN_DOWN_S,
        ) from None
    if wait > 0:
        raise Refused(429, "too_fast", slow_down(wait), retry_after=wait)


def slow_down(wait: float) -> str:
    """What is said to whoever has to wait so many seconds."""
    seconds = ceil(wait)
    message = ngettext(
        "You are asking faster than this site allows. Please try again in %(seconds)d second.",
        "You are asking faster than this site allows. Please try again in %(seconds)d seconds.",
        seconds,
    )
    return message % {"seconds": seconds}


@contextmanager
def paid(yes: bool) -> Iterator[None]:
    """What is charged inside has been paid for otherwise (arena/puzzles.py), or has not."""
    token = _paid.set(yes)
    try:
        yield
    finally:
        _paid.reset(token)


def client() -> redis.Redis:
    """Of Valkey, which is not waited for longer than TIMEOUT_S."""
    return _client(settings.REDIS_URL)


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True)


@lru_cache(maxsize=4)
def _script(url: str) -> Script:
    return _client(url).register_script(TAKE)
