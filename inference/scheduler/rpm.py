"""Requests per minute, then first come first served (VTC, OSDI'24, section 5.1): what most services do, as a baseline.

Kept: a client's request is rejected while `per_minute` of its requests were let in within the last 60 s; the rest is FCFS.
Differs: a pair counts once; the refusal says when to come back. Not work-conserving: it rejects in an idle system too.
Test: tests/inference/scheduler/test_baselines.py.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from inference.scheduler.fcfs import Fcfs
from inference.scheduler.protocol import Request

WINDOW_S = 60.0


class Rpm(Fcfs):
    """See the module. Remembers the admissions of `max_counters` clients, the longest quiet forgotten first."""

    def __init__(self, per_minute: int = 20) -> None:
        super().__init__()
        if per_minute < 1:
            raise ValueError("per_minute is at least 1")
        self.per_minute = per_minute
        self._let_in: OrderedDict[str, deque[float]] = OrderedDict()

    def refuse(self, r: Request, now: float) -> tuple[str, float] | None:
        """See `Order.refuse`; whom it does not refuse is counted."""
        times = self._let_in.setdefault(r.client, deque(maxlen=self.per_minute))
        while times and now - times[0] > WINDOW_S:
            times.popleft()
        if len(times) >= self.per_minute:
            wait = max(1.0, times[0] + WINDOW_S - now)
            return f"{self.per_minute} requests of this client came within the last minute", wait
        times.append(now)
        self._let_in.move_to_end(r.client)
        if len(self._let_in) > self.max_counters:
            self._let_in.popitem(last=False)
        return None
