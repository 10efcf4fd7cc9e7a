"""Django behind ASGI with one hop: a thread answers a whole request, and only so many threads do.

Django's own handler hands a request between the event loop and a thread five times (its signals, the middleware, the view
and the closing each on their own) and makes a new thread for every one. Every page here is synchronous, so one hop is
enough, to one of AGON_WEB_AT_ONCE threads that stay. That bounds the crowd as well: all threads share one interpreter, many
at once only slow each other down, and wait together for the same few database connections. In turn all are answered sooner.

Health checks have a thread of their own and wait for nobody; event streams, sockets and downloads do not pass through here.
Asynchronous middleware may stand outermost, before the hop (static files do).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import set_script_prefix

from arena.probes import PATHS

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Respond = Callable[[HttpRequest], HttpResponseBase]


class Handler(ASGIHandler):
    """The ASGI application of all ordinary pages."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)
        self._threads = ThreadPoolExecutor(settings.WEB_AT_ONCE, thread_name_prefix="request")
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self.load_middleware(is_async=False)  # synchronous from the view outwards, as far as the middleware is

    def adapt_method_mode(
        self,
        is_async: bool,
        method: Any,
        method_is_async: bool | None = None,
        debug: bool = False,
        name: str | None = None,
    ) -> Any:
        """Where the middleware turns asynchronous is the hop. The outermost may stay asynchronous: that is how it is called."""
        if method_is_async is None:
            return super().adapt_method_mode(is_async, method, debug=debug, name=name)
        if is_async and not method_is_async:
            return partial(self._in_a_thread, method)
        return method

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Answer one request. A browser that leaves is noticed while its body is read, or something is streamed to it."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            request, refusal = self.create_request(scope, body)
            if request is None or refusal is not None:
                await self.send_response(cast(HttpResponse, refusal), send)
                return
            with closing(request):
                response = await self.run_get_response(request)
                if response.streaming:
                    await self._stream(response, receive, send)
                else:
                    await self.send_response(response, send)

    async def _in_a_thread(self, respond: Respond, request: ASGIRequest) -> HttpResponseBase:
        threads: Executor = self._probes if request.path_info in PATHS else self._threads
        answer = partial(copy_context().run, self._answer, respond, request)
        return await asyncio.get_running_loop().run_in_executor(threads, answer)

    def _answer(self, respond: Respond, request: ASGIRequest) -> HttpResponseBase:
        """All of Django's part, in one thread; its database connection goes back before the answer is sent."""
        signals.request_started.send(sender=self.__class__, scope=request.scope)
        try:
            response = respond(request)
        finally:
            connections.close_all()
        response._handler_class = self.__class__  # type: ignore[attr-defined]  # the sender of request_finished
        if not response.streaming:
            cast(HttpResponse, response).close()  # says request_finished; what it holds in memory can still be sent
        return response

    async def _stream(self, response: HttpResponseBase, receive: Receive, send: Send) -> None:
        """Send what is made while it is sent, until it ends or its reader leaves."""
        sending = asyncio.ensure_future(self.send_response(response, send))
        leaving = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._threads, response.close)
