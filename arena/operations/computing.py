"""The tick of worker-batch: compute operators' figures, keep them in Valkey, and tell the open pages.

Always, not only while somebody looks: /metrics is scraped at its own pace, and counters must not have holes.
"""

import logging
from datetime import datetime
from typing import Any

import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.utils.module_loading import import_string

from arena import clock
from arena.embedded import paths
from arena.live import broadcast
from arena.operations import counters, engines, heartbeat, hour, now, snapshot
from arena.operations.usage import usage
from arena.supervisor import state
from inference.models import EngineEndpoint

log = logging.getLogger(__name__)
LOCK, LOCK_S = "ops:computing", 60
RANKING = "ranking.operators.figures"  # by name: what is above us arrives as an address


def refresh() -> bool:
    """False when another worker is at it."""
    with redis.Redis.from_url(settings.REDIS_URL) as valkey:
        if not valkey.set(LOCK, "1", nx=True, ex=LOCK_S):
            return False
        try:
            data = compute(valkey)
            snapshot.store(data, valkey)
        finally:
            valkey.delete(LOCK)
        if broadcast.listeners(broadcast.STAFF, valkey):
            broadcast.send(broadcast.STAFF, message(data))
    return True


def compute(valkey: redis.Redis) -> dict[str, Any]:
    """The whole snapshot. The figures of the hour are made anew every OPS_HOUR_S. Raises redis.RedisError, django.db.Error."""
    last = snapshot.read(valkey)
    before = last.data if last else {}
    data = now.figures(valkey)
    data["ranking"] = import_string(RANKING)()
    counters.advance(valkey, data["deployments"])
    data["counters"] = counters.totals(valkey)
    data["engines"] = _with_rates(_engines(), before)
    data["hour"] = _hour(before.get("hour", {}))
    data["others"] = other_processes(valkey)
    return data


def _engines() -> list[dict[str, Any]]:
    return async_to_sync(engines.ask_all)(list(EngineEndpoint.objects.filter(enabled=True).order_by("name")))


def _with_rates(rows: list[dict[str, Any]], before: dict[str, Any]) -> list[dict[str, Any]]:
    """Tokens per second since the last tick, from the engines' own counters."""
    earlier = {row["name"]: row.get("output_tokens") for row in before.get("engines", [])}
    moment = datetime.fromisoformat(before["at"]) if before else clock.now()
    seconds = (clock.now() - moment).total_seconds()
    for row in rows:
        then, tokens = earlier.get(row["name"]), row.get("output_tokens")
        if then is not None and tokens is not None and tokens >= then and seconds > 0:
            row["tokens_per_s"] = round((tokens - then) / seconds, 1)
    return rows


def _hour(before: dict[str, Any]) -> dict[str, Any]:
    if before and (clock.now() - datetime.fromisoformat(before["at"])).total_seconds() < settings.OPS_HOUR_S:
        return before
    return hour.figures(before)


def other_processes(valkey: redis.Redis) -> list[dict[str, Any]]:
    """Memory and CPU of what runs under this machine's supervisor without a heartbeat: engine, PostgreSQL, Valkey."""
    beating = {beat.process for beat in heartbeat.beats(valkey)}
    running = state.processes(paths.run_dir() / state.FILE)
    found = [(name, pid, usage(pid)) for name, pid in running.items() if name not in beating]
    return [
        {"process": name, "instance": f"pid {pid}", "resident_bytes": used.resident_bytes, "cpu_s": used.cpu_s}
        for name, pid, used in found
        if used.resident_bytes
    ]


def message(data: dict[str, Any]) -> dict[str, Any]:
    """What /live/ops/ says: enough to see the state, and that the page has news. Nothing per client."""
    return {
        "type": "ops",
        "at": data["at"],
        "queues": data["queues"],
        "turns": data["turns"],
        "engines": [{key: row[key] for key in ("name", "state")} for row in data["engines"]],
        "moderation": data["backlog"]["reports"] + data["backlog"]["appeals"],
    }
