"""Calling the ORM from asyncio code that outlives a request: a few threads, no connection kept in between."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache, partial
from typing import ParamSpec, TypeVar

from django.db import connections

THREADS = 4
P = ParamSpec("P")
T = TypeVar("T")


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="orm")


def _call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return function(*args, **kwargs)
    finally:
        connections.close_all()  # gives the connection back to the pool


async def in_db(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that uses the ORM in a thread of its own, and hand its connection back at once."""
    context = copy_context()  # what is logged there is about the same battle
    call = partial(context.run, _call, function, *args, **kwargs)  # type: ignore[arg-type]
    return await asyncio.get_running_loop().run_in_executor(_executor(), call)
