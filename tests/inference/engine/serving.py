"""The engine's HTTP server on a unix socket inside a test's event loop, and a client that speaks to it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from inference.engine.adapter_api import Served
from inference.engine.adapter_folder import AdapterFolder
from inference.engine.chat import ChatLimits
from inference.engine.serve import DrainingServer
from inference.engine.server import EngineApp
from inference.engine.sockets import listen_unix
from inference.engine.text import ChatText
from inference.scheduler.registry import make_scheduler
from tests.inference.engine.fake_core import FakeCore

KEY = "a-key-for-tests-only"
MODEL = "tiny"


@dataclass
class Answer:
    """A streamed answer taken apart."""

    status: int
    headers: dict[str, str]
    raw: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line[6:]) for line in self.raw.splitlines() if line.startswith("data: {")]

    @property
    def comments(self) -> list[str]:
        return [line for line in self.raw.splitlines() if line.startswith(":")]

    @property
    def text(self) -> str:
        return "".join(c["delta"].get("content", "") for e in self.events for c in e.get("choices", []))

    @property
    def finish(self) -> str | None:
        reasons = [c["finish_reason"] for e in self.events for c in e.get("choices", []) if c["finish_reason"]]
        return reasons[0] if len(reasons) == 1 else None

    @property
    def usage(self) -> dict[str, int] | None:
        return next((e["usage"] for e in self.events if "usage" in e), None)

    @property
    def error(self) -> dict[str, Any]:
        if self.raw.startswith("{"):
            return dict(json.loads(self.raw)["error"])
        return next(dict(e["error"]) for e in self.events if "error" in e)


def chat(prompt: str = "say(hello)", **fields: Any) -> dict[str, Any]:
    """A request body; `stream` is on unless said otherwise."""
    messages = [{"role": "user", "content": prompt}]
    return {"model": MODEL, "messages": messages, "stream": True, "temperature": 0, **fields}


@dataclass
class Client:
    """Speaks to the engine under test; `core`, `app` and `server` are its insides."""

    session: aiohttp.ClientSession
    core: Any
    app: EngineApp
    server: DrainingServer
    task: asyncio.Task[None] = field(repr=False)

    async def ask(self, prompt: str = "say(hello)", **fields: Any) -> Answer:
        return await self.post(chat(prompt, **fields))

    async def post(self, body: object, path: str = "/v1/chat/completions", **kwargs: Any) -> Answer:
        kwargs = kwargs or {"data": io.BytesIO(json.dumps(body).encode())}
        async with self.session.post(f"http://engine{path}", **kwargs) as reply:
            return Answer(reply.status, dict(reply.headers), (await reply.read()).decode())

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        async with self.session.request(method, f"http://engine{path}", headers=headers) as reply:
            return Answer(reply.status, dict(reply.headers), (await reply.read()).decode())

    async def open(self, prompt: str = "count", **fields: Any) -> aiohttp.ClientResponse:
        """A stream whose answer is not read."""
        return await self.session.post("http://engine/v1/chat/completions", data=json.dumps(chat(prompt, **fields)))


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    directory: Path,
    uds: Path,
    *,
    slots: int = 4,
    step_s: float = 0.0,
    core: Any = None,
    drain_timeout_s: float = 5.0,
    limits: ChatLimits | None = None,
    adapters: tuple[str, ...] = (),
    adapters_dir: Path | None = None,
    adapters_scan_s: float = 0.0,
    **scheduling: Any,
) -> AsyncIterator[Client]:
    """Serve a fake core (or the one given, a function of scheduler and text) until the block ends."""
    scheduler, text = make_scheduler(**scheduling), ChatText(directory)
    made = FakeCore(scheduler, text, slots, step_s) if core is None else core(scheduler, text)
    store = getattr(made, "adapter_store", None)
    folder = AdapterFolder(adapters_dir, store.inspect, frozenset({MODEL})) if store and adapters_dir else None
    limits = limits or ChatLimits(context=2000)
    app = EngineApp(made, scheduler, text, Served(MODEL, adapters), KEY, limits, store, folder, adapters_scan_s)
    server = DrainingServer(
        uvicorn.Config(app, lifespan="off", log_config=None, log_level="warning", ws="none"), app, drain_timeout_s
    )
    task = asyncio.create_task(server.run_app(listen_unix(uds), "ready"))
    await until(lambda: server.started)
    connector = aiohttp.UnixConnector(str(uds), limit=0)
    headers = {"Authorization": f"Bearer {KEY}"}
    timeout = aiohttp.ClientTimeout(total=20)
    try:
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
            yield Client(session, made, app, server, task)
    finally:
        server.should_exit = True
        await task
