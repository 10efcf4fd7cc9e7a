"""What operators see live: queues, engines, and how much waits for a moderator. For staff only."""

import asyncio
from typing import Any

import aiohttp
import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db.models import Count, Q

from arena.models import Appeal, Report, Turn
from arena.models.battles import TurnState
from inference.models import EngineEndpoint
from inference.target import UNIX

QUEUES = ("generate", "rank", "default", "export")
HEALTH_BODY_BYTES = 4096


def figures(client: redis.Redis) -> dict[str, Any]:
    """Lengths of the broker's queues, open turns, each enabled engine of ours, and open reports and appeals."""
    turns = Turn.objects.exclude(state=TurnState.DONE).aggregate(
        waiting=Count("id", filter=Q(state=TurnState.QUEUED)), running=Count("id", filter=Q(state=TurnState.RUNNING))
    )
    addresses = EngineEndpoint.objects.filter(enabled=True, has_scheduler=True).order_by("name")
    return {
        "type": "ops",
        "queues": {queue: int(client.llen(queue)) for queue in QUEUES},
        "turns": turns,
        "engines": async_to_sync(_probe)(dict(addresses.values_list("name", "base_url"))),
        "moderation": Report.objects.count() + Appeal.objects.count(),
    }


async def _probe(addresses: dict[str, str]) -> list[dict[str, str]]:
    states = await asyncio.gather(*(_state(url) for url in addresses.values()))
    return [{"name": name, "state": state} for name, state in zip(addresses, states, strict=True)]


async def _state(base_url: str) -> str:
    """`up`, `draining` (answers, but takes nothing new) or `down`."""
    path = base_url.removeprefix(UNIX) if base_url.startswith(UNIX) else None
    connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector()
    url = "http://engine/health" if path else base_url.rstrip("/").removesuffix("/v1") + "/health"
    timeout = aiohttp.ClientTimeout(total=settings.LIVE_OPS_PROBE_S)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, session.get(url) as response:
            return "up" if response.status == 200 else "draining" if response.status == 503 else "down"
    except (aiohttp.ClientError, OSError, TimeoutError):
        return "down"
