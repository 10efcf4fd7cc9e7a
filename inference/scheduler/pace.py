"""How fast the queue moves: a smoothed interval between admissions, for the queue display and Retry-After.

Tests: tests/inference/scheduler/test_ledger.py.
"""

from __future__ import annotations

SMOOTHING = 0.2  # weight of the newest interval
PRIOR_S = 2.0  # assumed before the second admission
MAX_INTERVAL_S = 30.0  # a longer gap says that nobody was waiting, not that the engine is slow


class Pace:
    """Smoothed seconds between admissions of one clock."""

    def __init__(self) -> None:
        self._interval: float | None = None
        self._last: float | None = None

    def admission(self, now: float) -> None:
        """Something was admitted at `now` (seconds)."""
        if self._last is not None and now - self._last <= MAX_INTERVAL_S:
            newest = max(0.0, now - self._last)
            old = newest if self._interval is None else self._interval
            self._interval = (1 - SMOOTHING) * old + SMOOTHING * newest
        self._last = now

    def eta_s(self, position: int) -> float:
        """Seconds until the admission at `position` (1 = next)."""
        return position * (PRIOR_S if self._interval is None else self._interval)
