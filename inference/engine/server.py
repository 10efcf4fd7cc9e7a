"""The engine's HTTP contract as one ASGI application: routes, key, answers for every error. docs/engine.md describes it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from inference.engine.adapter_api import AdapterApi, Served, Store
from inference.engine.asgi import Disconnected, Http, Receive, Scope, Send
from inference.engine.chat import ChatApi, ChatLimits
from inference.engine.errors import ApiError, unavailable
from inference.engine.keys import authorised
from inference.engine.metrics import Metrics, fairness
from inference.engine.runner import Core, Runner
from inference.engine.text import ChatText
from inference.scheduler.protocol import Scheduler

if TYPE_CHECKING:
    from inference.engine.adapter_folder import AdapterFolder

TOP_CLIENTS = 50
MOST_CLIENTS = 1000
FIGURES_TIMEOUT_S = 5.0

log = logging.getLogger(__name__)
Handler = Callable[[Http], Awaitable[None]]


class EngineApp:
    """See the module. `start()` and `stop()` belong to the event loop that serves it.

    With `store` and `folder`, adapters come and go while it runs; the folder is looked at every `scan_s` seconds.
    """

    def __init__(
        self,
        core: Core,
        scheduler: Scheduler,
        text: ChatText,
        served: Served,
        key: str,
        limits: ChatLimits,
        store: Store | None = None,
        folder: AdapterFolder | None = None,
        scan_s: float = 0.0,
    ) -> None:
        self.runner = Runner(core, scheduler)
        self.metrics = Metrics()
        self.draining = False
        self._core, self._scheduler, self.served, self._key, self._limits = core, scheduler, served, key, limits
        self._chat = ChatApi(self.runner, text, served.models, limits, self.metrics)
        self.adapter_api = AdapterApi(self.runner, served, store, folder, scan_s)
        self._started = int(time.time())
        self._routes: dict[str, tuple[str, Handler]] = {
            "/health": ("GET", self._health),
            "/metrics": ("GET", self._metrics_page),
            "/v1/clients": ("GET", self._clients),
            "/v1/models": ("GET", self._models),
            "/v1/chat/completions": ("POST", self._completions),
            **self.adapter_api.routes(),
        }

    def start(self) -> None:
        """Start the engine thread."""
        self.runner.start()
        self.adapter_api.start()

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new requests, let the open ones end, at most `timeout_s`; whether all of them did."""
        self.draining = True
        done = await self.runner.drained(timeout_s)
        if not done:
            self.runner.fail_open(unavailable("the engine is shutting down", 5.0, "draining"))
            await self.runner.drained(1.0)
        return done

    async def stop(self) -> None:
        """End the engine thread."""
        self.adapter_api.stop()
        await self.runner.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange; no error leaves it."""
        if scope["type"] != "http":
            raise ValueError(f"the engine speaks HTTP only, not {scope['type']}")
        http = Http(scope, receive, send)
        try:
            await self._dispatch(http)
        except Disconnected:
            self.metrics.outcomes["aborted"] += 1
        except ApiError as error:
            self.metrics.outcomes[_outcome(error)] += 1
            await http.answer_error(error)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await http.answer_error(unavailable("the engine is shutting down", 5.0, "draining"))
            raise
        except Exception:
            log.exception("%s %s failed", http.method, http.path)
            self.metrics.outcomes["error"] += 1
            await http.answer_error(
                ApiError(500, "the engine failed on this request; its log says why", code="internal")
            )

    async def _dispatch(self, http: Http) -> None:
        route = self._routes.get(http.path)
        if http.path != "/health" and not authorised(http.header("authorization"), self._key):
            raise ApiError(401, "missing or wrong API key: send `Authorization: Bearer <key>`", code="invalid_api_key")
        if route is None:
            raise ApiError(404, f"there is nothing at {http.path[:128]}", code="not_found")
        method, handler = route
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if http.method not in allowed:
            message = f"{http.path} answers {method} only"
            raise ApiError(405, message, code="method_not_allowed", allow=", ".join(allowed))
        await handler(http)

    async def _completions(self, http: Http) -> None:
        if self.draining:
            raise unavailable("the engine is shutting down", 5.0, "draining")
        await self._chat.handle(http)

    async def _health(self, http: Http) -> None:
        """200 while requests are welcome; 503 `draining`, `stalled` or `broken` (with the reason)."""
        state = self.runner.state()
        if state == "ok" and self.draining:
            state = "draining"
        body: dict[str, Any] = {"status": state, "model": self.served.base, "open": len(self.runner.open)}
        if self.runner.broken:
            body["reason"] = self.runner.broken
        await http.answer_json(body, 200 if state == "ok" else 503)

    async def _models(self, http: Http) -> None:
        card = {"object": "model", "created": self._started, "owned_by": "agon", "max_model_len": self._limits.context}
        cards: list[dict[str, Any]] = [{"id": self.served.base, **card, "parent": None}]
        cards += [{"id": name, **card, "parent": self.served.base} for name in self.served.adapters]
        await http.answer_json({"object": "list", "data": cards})

    async def _figures(self, function: Callable[[], Any]) -> Any:
        """Ask the engine thread, which may be in the middle of a step."""
        try:
            return await asyncio.wait_for(self.runner.call(function), FIGURES_TIMEOUT_S)
        except TimeoutError:
            raise unavailable("the engine is in a long step; ask again", FIGURES_TIMEOUT_S, "busy") from None

    async def _metrics_page(self, http: Http) -> None:
        stats, service, queue = await self._figures(
            lambda: (self._core.stats(), self._scheduler.service(), self._scheduler.figures())
        )
        core = {f"core_{name}": value for name, value in stats.items()}
        counters = {name[: -len("_total")]: value for name, value in core.items() if name.endswith("_total")}
        gauges = {name: value for name, value in core.items() if not name.endswith("_total")}
        counters |= {"steps": self.runner.steps, "failed_steps": self.runner.failed_steps}
        counters |= {"step_seconds": self.runner.step_seconds}
        counters |= {"queue_admissions": queue.admissions, "queue_refused": queue.refused}
        counters |= {"queue_shed": queue.shed, "queue_expired": queue.expired}
        gauges |= {"open_requests": len(self.runner.open), **fairness(service)}
        gauges |= {"waiting_units": queue.waiting, "waiting_clients": queue.active, "counter_spread": queue.spread}
        page = self.metrics.text(gauges, counters, queue.waits)
        await http.answer(200, page.encode(), "text/plain; version=0.0.4; charset=utf-8")

    async def _clients(self, http: Http) -> None:
        """What the scheduler holds of single clients, for operators: the most served first."""
        limit = http.number("limit", TOP_CLIENTS, MOST_CLIENTS)
        clients, waiting, stats = await self._figures(
            lambda: (self._scheduler.clients(limit), self._scheduler.waiting(), self._core.stats())
        )
        body = {"policy": self._scheduler.policy, "waiting": waiting, "running": stats["running"]}
        await http.answer_json({"clients": [asdict(client) for client in clients], **body})


def _outcome(error: ApiError) -> str:
    """The metric's name for an error answer."""
    by_code = {"shed": "shed", "expired": "expired", "client_closed": "aborted"}
    by_code |= {"queue_full": "refused", "draining": "refused"}
    if error.code in by_code:
        return by_code[error.code]
    return "bad_request" if error.status < 500 else "error"
