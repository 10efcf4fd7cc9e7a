"""What every answer under /api/ has in common: open to all origins, no cookies, one limit per network, ETags, JSON errors.

A middleware, so that it also covers what no view of the API ever sees: unknown paths, wrong methods, failures.
"""

import hashlib
import logging
from collections.abc import Callable
from math import ceil

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils.cache import get_conditional_response
from redis import RedisError

from arena import addresses, limits
from arena.outages import RETRY_AFTER_S
from arena.problems import MEDIA_TYPE, problem

log = logging.getLogger(__name__)
PREFIX = "/api/v"
METHODS = "GET, HEAD, OPTIONS"
PREFLIGHT_S = "86400"
INTERNAL = ("Content-Language", "Vary", "Set-Cookie")  # the answer is the same for everybody


class ApiEdge:
    """Stands before sessions, cookies and languages. HEAD is answered like GET, without the body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        response = _refused(request) or self._read(request)
        response["Access-Control-Allow-Origin"] = "*"
        response["Access-Control-Expose-Headers"] = "ETag, Retry-After"
        return response

    def _read(self, request: HttpRequest) -> HttpResponse:
        head, request.method = request.method == "HEAD", "GET"
        request.COOKIES = {}
        response = self.get_response(request)
        if response.status_code >= 400 and response["Content-Type"] != MEDIA_TYPE:
            later = {"Retry_After": response["Retry-After"]} if response.has_header("Retry-After") else {}
            response = problem(response.status_code, **later)
        for name in INTERNAL:
            del response[name]
        response.cookies.clear()
        response = _cached(request, response)
        if head:
            response["Content-Length"] = str(len(response.content))
            response.content = b""
        return response


def _refused(request: HttpRequest) -> HttpResponse | None:
    """What can be said without reading anything: unknown path, method, media type, limit."""
    try:
        resolve(request.path_info)
    except Resolver404:
        return problem(404)
    if request.method == "OPTIONS":
        return _preflight()
    if request.method not in ("GET", "HEAD"):
        return problem(405, Allow=METHODS)
    if not request.accepts("application/json"):
        return problem(406)
    try:
        wait = _wait(request)
    except Error:  # the database is away, which an address is named by and everything is read from
        return problem(503, Retry_After=str(RETRY_AFTER_S))
    return problem(429, Retry_After=str(ceil(wait))) if wait else None


def _preflight() -> HttpResponse:
    headers = {"Allow": METHODS, "Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": PREFLIGHT_S}
    return HttpResponse(status=204, headers=headers | {"Access-Control-Allow-Headers": "If-None-Match"})


def _wait(request: HttpRequest) -> float:
    """Seconds until this network may ask again. While Valkey is down nobody waits: what is read here is public anyway.

    Raises django.db.Error.
    """
    group = addresses.group_key(addresses.client_prefix(request))
    bucket = limits.Bucket(f"api:{group}", settings.API_BURST, settings.API_PER_MINUTE)
    try:
        return limits.take_from(bucket)
    except RedisError as error:
        log.warning("the API's limits cannot be read: %s", type(error).__name__)
        return 0.0


def _cached(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """A 200 may be kept for API_MAX_AGE_S and asked for again by its content's hash; nothing else may be kept."""
    if response.status_code != 200:
        response["Cache-Control"] = "no-store"
        return response
    etag = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response["ETag"] = etag
    response["Cache-Control"] = f"public, max-age={settings.API_MAX_AGE_S}"
    return get_conditional_response(request, etag=etag, response=response) or response
