"""Admission with a prefix cache beside it."""

from __future__ import annotations

from inference.scheduler.protocol import Request
from inference.scheduler.room import WaitingRoom

Cache = dict[str | None, int]


def admit(s: WaitingRoom, cache: Cache | None = None, slots: int = 99) -> tuple[Request, ...]:
    """Admit what is next; `cache` knows how many tokens of which prefix it holds, and gets to know what is admitted."""
    cache = {} if cache is None else cache

    def cached(r: Request) -> int:
        return min(r.input_len, cache.get(r.prefix, 0))

    unit = s.peek(lambda rs: len(rs) <= slots, cached, 1.0)
    for r in unit:
        s.admitted(r, r.input_len - cached(r))
    return unit
