"""Counters that only grow, kept in Valkey: each tick adds what the database has gained since the last one.

A range of an index per tick, never a whole table. The range ends LAG behind the present, because rows become visible when their
transaction ends; what commits later than that is missed. When Valkey is lost the counters begin at zero, as Prometheus expects
of a restart; when worker-batch was away for longer than MOST, what happened before that is not counted.
"""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import redis
from django.db.models import Count

from arena import clock
from arena.ids import uuid7_floor
from arena.models import Battle, GateBlock, Turn, VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from arena.operations.answers import ask

KEY, UNTIL = "ops:counters", "ops:counted-until"
LAG = timedelta(seconds=5)
MOST = timedelta(hours=1)
FIRST_TOKEN_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
DURATION_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
REPLIES = """
SELECT coalesce(deployment_id::text, ''), state, finish_reason, error, count(*),
  coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0)
FROM {answers} WHERE finished_at >= %s AND finished_at < %s GROUP BY 1, 2, 3, 4
"""
TIMES = """
SELECT coalesce(deployment_id::text, ''), width_bucket(seconds, %s::float8[]), count(*), sum(seconds) FROM (
  SELECT deployment_id, extract(epoch FROM {end} - started_at)::float8 AS seconds FROM {answers}
  WHERE finished_at >= %s AND finished_at < %s AND state = 'done' AND {end} >= started_at) AS timed
GROUP BY 1, 2
"""
Name = tuple[str, ...]  # a metric and its labels' values, or a metric, a deployment and a part of its histogram


def advance(valkey: redis.Redis, prices: dict[str, dict[str, Any]]) -> None:
    """Add what has happened since the last call. Of two calls at once one counts. Raises redis.RedisError."""
    end = clock.now() - LAG
    with valkey.pipeline() as pipe:
        pipe.watch(UNTIL)
        told = pipe.get(UNTIL)
        begin = max(datetime.fromisoformat(told.decode()), end - MOST) if told else end
        gained = since(begin, end, prices) if begin < end else Counter()
        pipe.multi()
        for name, value in gained.items():
            pipe.hincrbyfloat(KEY, json.dumps(name), value)
        pipe.set(UNTIL, max(begin, end).isoformat())
        try:
            pipe.execute()
        except redis.WatchError:
            return


def totals(valkey: redis.Redis) -> list[tuple[Name, float]]:
    """Everything counted so far. Raises redis.RedisError."""
    return [(tuple(json.loads(name)), float(value)) for name, value in sorted(valkey.hgetall(KEY).items())]


def since(begin: datetime, end: datetime, prices: dict[str, dict[str, Any]]) -> Counter[Name]:
    """What happened in [begin, end)."""
    low, high = uuid7_floor(begin), uuid7_floor(end)
    gained: Counter[Name] = Counter()
    live = Battle.objects.filter(created_at__gte=begin, created_at__lt=end, origin=Origin.LIVE)
    gained["battles",] += live.count()
    gained["turns",] += Turn.objects.filter(id__gte=low, id__lt=high, battle__origin=Origin.LIVE).count()
    cast = VoteEvent.objects.filter(id__gte=low, id__lt=high, kind=EventKind.CAST, origin=Origin.LIVE)
    for choice, ranked, n in cast.order_by().values_list("choice", "ranked").annotate(n=Count("id")):
        gained["votes", choice, "yes" if ranked else "no"] += n
    blocks = GateBlock.objects.filter(id__gte=low, id__lt=high)
    for category, n in blocks.order_by().values_list("category").annotate(n=Count("id")):
        gained["gate_blocks", category] += n
    _replies(gained, begin, end, prices)
    _times(gained, "first_token", "first_token_at", FIRST_TOKEN_S, begin, end)
    _times(gained, "duration", "finished_at", DURATION_S, begin, end)
    return gained


def _replies(gained: Counter[Name], begin: datetime, end: datetime, prices: dict[str, dict[str, Any]]) -> None:
    for deployment, state, reason, error, n, tokens_in, tokens_out in ask(REPLIES, begin, end):
        gained["replies", state, reason, error] += n
        gained["tokens", deployment, "in"] += tokens_in
        gained["tokens", deployment, "out"] += tokens_out
        price = prices.get(deployment, {"price_in": 0.0, "price_out": 0.0})
        cost = (tokens_in * price["price_in"] + tokens_out * price["price_out"]) / 1e6
        gained["cost", deployment] += cost


def _times(gained: Counter[Name], name: str, column: str, bounds: tuple[float, ...], *window: datetime) -> None:
    for deployment, bucket, n, seconds in ask(TIMES, list(bounds), *window, end=column):
        gained[name, deployment, str(bucket)] += n
        gained[name, deployment, "sum"] += seconds
