"""The web process's own clock, from its start to its end: a heartbeat from inside the event loop, with what only it knows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

from arena.live.consumers import Listener
from arena.operations import heartbeat
from arena.streams import sse
from arena.streams.hub import overflows

STEP_S = 0.5

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI lifespan protocol."""
    beating: asyncio.Task[None] | None = None
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            beating = asyncio.create_task(_beat_for_ever(), name="heartbeat")
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            if beating:
                beating.cancel()
            await asyncio.to_thread(heartbeat.leave)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _beat_for_ever() -> None:
    while True:
        lag = await _lag(settings.HEARTBEAT_S)
        await asyncio.to_thread(heartbeat.tell, figures() | {"loop_lag_s": lag})


async def _lag(seconds: float) -> float:
    """Wait, and the most that a timer came too late meanwhile."""
    loop = asyncio.get_running_loop()
    worst, until = 0.0, loop.time() + seconds
    while (before := loop.time()) < until:
        await asyncio.sleep(STEP_S)
        worst = max(worst, loop.time() - before - STEP_S)
    return worst


def figures() -> dict[str, int]:
    """What no other process can count."""
    return {"sse": sse.open_streams(), "sockets": Listener.open_sockets, "overflows": overflows()}
