"""Figures of this moment. Every query reads a partial index, a primary key's last range, or at most MANY rows."""

import os
import platform
import shutil
import tomllib
from datetime import UTC, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import django
import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from arena import clock
from arena.ids import uuid7_floor
from arena.models import Appeal, Battle, Conversation, Job, Message, Report, Side, SiteConfig, Turn, VoteEvent
from arena.models.battles import Origin, TurnState
from arena.models.conversations import Verdict
from inference.models import Deployment, EngineEndpoint

QUEUES = ("generate", "rank", "default", "export")
MANY = 10_000  # counted no further
JOBS_OF = timedelta(days=7)
ENRICHED_WITHIN = timedelta(days=1)
MOST_DEPLOYMENTS = 500


def figures(valkey: redis.Redis) -> dict[str, Any]:
    """Everything that needs no window of an hour. Raises redis.RedisError and django.db.Error."""
    return {
        "at": clock.now().isoformat(timespec="seconds"),
        "queues": {queue: int(valkey.llen(queue)) for queue in QUEUES},
        "turns": turns(),
        "backlog": backlog(),
        "jobs": jobs(),
        "spending": spending(),
        "deployments": deployments(),
        "paused": SiteConfig.current().battles_paused,
        "disk": disk(),
        "versions": versions(valkey),
    }


def turns() -> dict[str, Any]:
    """Open turns: waiting for a worker, running, and the age of the oldest in seconds."""
    found = Turn.objects.exclude(state=TurnState.DONE).aggregate(
        waiting=Count("id", filter=Q(state=TurnState.QUEUED)),
        running=Count("id", filter=Q(state=TurnState.RUNNING)),
        oldest=Min("created_at"),
    )
    oldest = found.pop("oldest")
    return found | {"oldest_s": (clock.now() - oldest).total_seconds() if oldest else 0.0}


def backlog() -> dict[str, int]:
    """What waits for a person or for a job; MANY means that many or more. Nobody decides on the demo's conversations."""
    said = Conversation.objects.filter(erased_at__isnull=True)
    recent = Message.objects.filter(id__gte=uuid7_floor(clock.now() - ENRICHED_WITHIN)).exclude(text="")
    return {
        "reports": _count(Report.objects.filter(decision="")),
        "appeals": _count(Appeal.objects.filter(decision="")),
        "flagged": _count_live(said.filter(verdict=Verdict.FLAGGED), "pk"),
        "pending": _count_live(said.filter(verdict=Verdict.PENDING), "pk"),
        "unenriched": _count_live(recent.filter(enrichment__isnull=True), "conversation"),
        "votes_uncounted": _count(VoteEvent.objects.filter(absorbed=False)),
    }


def _count_live(rows: QuerySet[Any], conversation: str) -> int:
    """Rows whose `conversation` is a side of a live battle."""
    here = (
        Battle.objects.filter(origin=Origin.LIVE, **{f"conversation_{side}": OuterRef(conversation)}) for side in Side
    )
    return min(MANY, sum(_count(rows.filter(Exists(battle))) for battle in here))


def _count(rows: QuerySet[Any]) -> int:
    return rows.order_by()[:MANY].count()


def jobs() -> dict[str, int]:
    """Jobs of the last week by state."""
    recent = Job.objects.filter(id__gte=uuid7_floor(clock.now() - JOBS_OF)).order_by()
    return dict(recent.values_list("state").annotate(Count("id")))


def spending() -> list[dict[str, Any]]:
    """What each enabled endpoint has cost on this UTC day, and its cap."""
    today = Q(spending__day=clock.now().astimezone(UTC).date())
    rows = EngineEndpoint.objects.filter(enabled=True).order_by("name")
    spent = dict(rows.filter(today).values_list("name", "spending__cost"))
    return [
        {"endpoint": name, "cost": float(spent.get(name) or 0), "cap": None if cap is None else float(cap)}
        for name, cap in rows.values_list("name", "daily_cap")
    ]


def deployments() -> dict[str, dict[str, Any]]:
    """Names and prices (per million tokens) by id; the label that metrics and pages use."""
    rows = Deployment.objects.order_by("id").values_list("id", "upstream_name", "endpoint_id", "price_in", "price_out")[
        :MOST_DEPLOYMENTS
    ]
    return {
        str(pk): {"label": f"{name} on {endpoint}"[:200], "price_in": float(i or 0), "price_out": float(o or 0)}
        for pk, name, endpoint, i, o in rows
    }


def disk() -> dict[str, int]:
    """Of the file system that holds var/."""
    place = settings.VAR if Path(settings.VAR).exists() else "/"
    found = shutil.disk_usage(place)
    return {"free_bytes": found.free, "size_bytes": found.total}


def versions(valkey: redis.Redis) -> dict[str, str]:
    server = valkey.info("server")
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgres = cursor.fetchone()[0]
    return {
        "agon": agon_version(),
        "python": platform.python_version(),
        "django": django.get_version(),
        "postgresql": postgres.split()[0],
        "valkey": str(server.get("valkey_version") or server.get("redis_version")),
    }


@cache
def agon_version() -> str:
    """Of the code that runs."""
    project = Path(settings.BASE_DIR, "pyproject.toml")
    if not os.path.exists(project):
        return "unknown"
    return str(tomllib.loads(project.read_text())["project"]["version"])
