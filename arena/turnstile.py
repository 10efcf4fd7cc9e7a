"""At most so many requests inside Django at once; the others wait their turn, first come first served.

Django gives every request a thread, and all threads share one interpreter: many at once only slow each other down, and wait
together for the same few database connections. In turn they are all answered sooner, and a crowd makes no thousand threads.
Health checks wait for nobody; event streams, sockets and downloads do not pass through here.
"""

import asyncio
from collections.abc import Awaitable, Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import async_only_middleware

from arena.probes import PATHS

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def turnstile(get_response: GetResponse) -> GetResponse:
    """Asynchronous, beside the one that serves static files: before the change to a thread, which is what is counted."""
    places = asyncio.Semaphore(settings.WEB_AT_ONCE)

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info in PATHS:
            return await get_response(request)
        async with places:
            return await get_response(request)

    return middleware
