"""One line per request: method, route, status, milliseconds. No address, no cookie, no query, no path with its ids."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from arena import logs

log = logging.getLogger(__name__)
POLLED = frozenset({"healthz", "readyz", "metrics"})  # by machines, every few seconds: told at DEBUG


class RequestLog:
    """Django middleware, synchronous like the others. Static files are answered before it and leave no line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = perf_counter()
        with logs.battle(None):
            response = self.get_response(request)
            match = request.resolver_match
            tell(request.method or "", (match.route or "/") if match else "unknown", response.status_code, started)
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if "battle" in kwargs:
            logs.about(kwargs["battle"])


def tell(method: str, route: str, status: int, started: float) -> None:
    """Write the line; `started` is of time.perf_counter."""
    if settings.LOG_REQUESTS:
        level = logging.DEBUG if route in POLLED else logging.INFO
        facts = {"method": method, "route": route, "status": status, "ms": round((perf_counter() - started) * 1000, 1)}
        log.log(level, "request", extra={"facts": facts})
