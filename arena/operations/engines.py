"""What each enabled endpoint says of itself: /health, and the few of its own figures that operators need."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from arena.operations import queues
from inference.models import EndpointKind, EngineEndpoint
from inference.sealed import WrongSealKey
from inference.target import UNIX
from inference.targets import key_of

MOST_ENDPOINTS = 100
PAGE_BYTES = 1 << 20
# Ours: their names, in our engine and in vLLM. Values of several labels are added up.
FIGURES: Mapping[str, tuple[str, ...]] = {
    "running": ("agon_engine_core_running", "vllm:num_requests_running"),
    "waiting": ("agon_engine_waiting_units", "vllm:num_requests_waiting"),
    "pages": ("agon_engine_core_pages",),
    "pages_used": ("agon_engine_core_pages_used",),
    "output_tokens": ("agon_engine_core_output_tokens_total", "vllm:generation_tokens_total"),
    "fairness": ("agon_engine_service_jain_index",),
    "clients": ("agon_engine_clients",),
    "largest_share": ("agon_engine_service_largest_share",),
    "spread": ("agon_engine_counter_spread",),
    "refused": ("agon_engine_queue_refused_total",),
    "shed": ("agon_engine_queue_shed_total",),
    "expired": ("agon_engine_queue_expired_total",),
    "adapters": ("agon_engine_core_adapters",),
    "adapters_resident": ("agon_engine_core_adapters_resident",),
    "adapters_loaded": ("agon_engine_core_adapter_loads_total",),
    "adapters_evicted": ("agon_engine_core_adapter_evictions_total",),
    "adapters_failed": ("agon_engine_core_adapter_failures_total",),
}


async def ask_all(endpoints: list[EngineEndpoint]) -> list[dict[str, Any]]:
    """One row per endpoint, in their order; each is given LIVE_OPS_PROBE_S."""
    return await asyncio.gather(*(_ask(endpoint) for endpoint in endpoints[:MOST_ENDPOINTS]))


async def _ask(endpoint: EngineEndpoint) -> dict[str, Any]:
    """`state` is up, draining (answers, but takes nothing new), down, or unknown (a vendor's API, which has no health)."""
    row: dict[str, Any] = {"name": endpoint.name, "kind": endpoint.kind, "state": "unknown"}
    if endpoint.kind == EndpointKind.OPENAI and not endpoint.has_scheduler:
        return row
    base = endpoint.base_url
    path = base.removeprefix(UNIX) if base.startswith(UNIX) else None
    connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector()
    root = "http://engine" if path else base.rstrip("/").removesuffix("/v1")
    timeout = aiohttp.ClientTimeout(total=settings.LIVE_OPS_PROBE_S)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            row["state"] = await _health(session, root)
            if row["state"] != "down":
                row |= await _figures(session, root, endpoint)
    except (aiohttp.ClientError, OSError, TimeoutError):
        row["state"] = "down"
    return row


async def _health(session: aiohttp.ClientSession, root: str) -> str:
    async with session.get(f"{root}/health", allow_redirects=False) as response:
        return "up" if response.status == 200 else "draining" if response.status == 503 else "down"


async def _figures(session: aiohttp.ClientSession, root: str, endpoint: EngineEndpoint) -> dict[str, Any]:
    """What its /metrics and, if it schedules, its /v1/clients tell.

    Nothing of a page that it has not or that does not like our key; a slow page does not make it down.
    """
    found: dict[str, Any] = {}
    with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError, WrongSealKey):
        found |= parse((await _page(session, f"{root}/metrics", endpoint)).decode("utf-8", "replace"))
        if endpoint.kind == EndpointKind.ENGINE and (told := await _page(session, f"{root}/v1/clients", endpoint)):
            found["queue"] = queues.parse(told)
    return found


async def _page(session: aiohttp.ClientSession, url: str, endpoint: EngineEndpoint) -> bytes:
    """At most PAGE_BYTES of a page behind the endpoint's key; empty when it is not given."""
    key = key_of(endpoint)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        if response.status != 200:
            return b""
        chunks, left = [], PAGE_BYTES
        async for chunk in response.content.iter_any():
            chunks.append(chunk[:left])
            left -= len(chunks[-1])
            if not left:
                break
        return b"".join(chunks)


def parse(page: str) -> dict[str, float]:
    """The figures that we know, of a page in Prometheus' text format. Raises ValueError for what is no such page."""
    wanted = {theirs: ours for ours, names in FIGURES.items() for theirs in names}
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if ours := wanted.get(sample.name):
                found[ours] = found.get(ours, 0.0) + sample.value
    return found
