"""Two questions of machines: does the process answer, and can it serve?"""

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis
from redis.exceptions import RedisError

PATIENCE_S = 1.0


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    parts = {"database": _database(), "valkey": _valkey()}
    return JsonResponse(parts, status=200 if all(parts.values()) else 503)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _valkey() -> bool:
    try:
        with Redis.from_url(settings.REDIS_URL, socket_timeout=PATIENCE_S) as client:
            return bool(client.ping())
    except RedisError:
        return False
