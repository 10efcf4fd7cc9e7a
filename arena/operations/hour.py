"""Figures of the last hour and day: one range of the index over answers, and whole hours that are counted once."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.crypto import salted_hmac

from arena import clock
from arena.ids import uuid7_floor
from arena.models import Battle, VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from arena.operations.answers import ask

HOUR = timedelta(hours=1)
HOURS = 24
TOP = 50
LATENCY = """
SELECT deployment_id::text, count(*), count(*) FILTER (WHERE state = 'failed' OR finish_reason = 'early'),
  percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM first_token_at - started_at)),
  percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at))
FROM {answers} WHERE finished_at >= %s GROUP BY 1
"""
FAILURES = """
SELECT CASE WHEN state = 'failed' THEN error ELSE finish_reason END, count(*) FROM {answers}
WHERE finished_at >= %s AND (state = 'failed' OR finish_reason IN ('early', 'blocked')) GROUP BY 1 ORDER BY 2 DESC LIMIT 30
"""
SERVICE = """
SELECT {column}::text, count(*), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0)
FROM {answers} WHERE finished_at >= %s
GROUP BY 1 ORDER BY coalesce(sum(tokens_in), 0) + 2 * coalesce(sum(tokens_out), 0) DESC, 1 LIMIT %s
"""


def figures(before: dict[str, Any]) -> dict[str, Any]:
    """The hour's figures; `before` are the last ones, whose whole hours need not be counted again."""
    since = clock.now() - HOUR
    return {
        "at": clock.now().isoformat(timespec="seconds"),
        "latency": latency(since),
        "failures": ask(FAILURES, since),
        "clients": [client_name(name) | row for name, row in _service("visitor_id", since)],
        "groups": [group_name(name) | row for name, row in _service("group", since)],
        "hours": hours(before.get("hours", {})),
    }


def latency(since: datetime) -> dict[str, dict[str, Any]]:
    """Per deployment id: replies, those that failed or broke off, and p50 and p95 in seconds (None = no reply had one)."""
    return {
        deployment or "": {"replies": n, "failed": failed, "first": first, "full": full}
        for deployment, n, failed, first, full in ask(LATENCY, since)
    }


def _service(column: str, since: datetime) -> list[tuple[str | None, dict[str, int]]]:
    """The TOP most served, by tokens in + 2 x tokens out."""
    quoted = connection.ops.quote_name(column)
    return [
        (name, {"replies": n, "tokens_in": i, "tokens_out": o, "cost": i + 2 * o})
        for name, n, i, o in ask(SERVICE, since, TOP, column=quoted)
    ]


def client_name(visitor: str | None) -> dict[str, str]:
    """A short keyed pseudonym: operators can follow a client on this page, not find its battles with it."""
    name = salted_hmac("agon.ops-client", visitor, algorithm="sha256").hexdigest()[:10] if visitor else "-"
    return {"name": name}


def group_name(group: str | None) -> dict[str, str]:
    """A prefix by its key's tag and the first eight digits of its hash."""
    tag, dash, digest = (group or "-").rpartition("-")
    return {"name": f"{tag}{dash}{digest[:8]}"}


def hours(known: dict[str, list[int]]) -> dict[str, list[int]]:
    """Battles started and votes cast per hour (UTC), the last HOURS of them; only the last two are counted anew."""
    this = clock.now().replace(minute=0, second=0, microsecond=0)
    wanted = [this - HOUR * ago for ago in range(HOURS - 1, -1, -1)]
    fresh = {this, this - HOUR}
    return {
        hour.isoformat(): known[hour.isoformat()] if hour.isoformat() in known and hour not in fresh else _hour(hour)
        for hour in wanted
    }


def _hour(start: datetime) -> list[int]:
    end = start + HOUR
    battles = Battle.objects.filter(created_at__gte=start, created_at__lt=end, origin=Origin.LIVE)
    votes = VoteEvent.objects.filter(
        id__gte=uuid7_floor(start), id__lt=uuid7_floor(end), kind=EventKind.CAST, origin=Origin.LIVE
    )
    return [battles.count(), votes.count()]
