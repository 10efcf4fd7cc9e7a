"""What the queue has done so far, over all clients: for `/metrics`. What single clients got is in ledger.py.

Tests: tests/inference/scheduler/test_figures.py.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

WAIT_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Buckets:
    """Counts per upper bound (the last one unbounded), and the sum of what was observed."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more `value`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Figures:
    """Counts of units (a pair is one) since the start, and how it stands now.

    `admissions`, and their `waits` in seconds; `refused` at a bound or by the policy, `shed` for others' sake, `expired` by early
    abort. `waiting` units of `active` clients; `spread` is the largest difference between the counters of two groups that have
    something waiting, which is what a fair policy bounds (0 for one without counters).
    """

    admissions: int = 0
    refused: int = 0
    shed: int = 0
    expired: int = 0
    waits: Buckets = field(default_factory=lambda: Buckets(WAIT_BUCKETS_S))
    waiting: int = 0
    active: int = 0
    spread: float = 0.0
