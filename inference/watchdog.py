"""The deadlines of one open stream with one timer, re-armed only when it fires: a read costs a clock call, not a timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from inference.target import Timeouts

ENDING_S = 5.0


class Watchdog:
    """Calls `abort` once when the answer does not begin, pauses or lasts too long; `expired` says so."""

    def __init__(self, timeouts: Timeouts, abort: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts, self._abort = timeouts, abort
        self.started = self._last = self._loop.time()
        self._span = timeouts.first_token_s
        self._end = self.started + timeouts.total_s
        self.expired = False
        self._arm()

    def queued(self) -> None:
        """The endpoint works on others and says so: neither the first piece nor the whole is late, up to `queue_s`."""
        now = self._loop.time()
        if now <= self.started + self._timeouts.queue_s:
            self._last, self._end = now, now + self._timeouts.total_s

    def heard(self, ending: bool = False) -> None:
        """A piece of the answer came; from the first one on, the pause between pieces is what counts.

        `ending` says that only the token counts and the farewell are missing: not worth more than ENDING_S.
        """
        self._last = self._loop.time()
        span = min(self._timeouts.idle_s, ENDING_S) if ending else self._timeouts.idle_s
        if span != self._span:
            self._span = span
            self._timer.cancel()
            self._arm()

    def stop(self) -> None:
        """No more deadlines."""
        self._timer.cancel()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(min(self._last + self._span, self._end), self._check)

    def _check(self) -> None:
        if self._loop.time() < min(self._last + self._span, self._end):
            self._arm()
            return
        self.expired = True
        self._abort()
