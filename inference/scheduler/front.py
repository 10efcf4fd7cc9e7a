"""Units that have had their turn and wait all the same: preempted requests, and halves of a pair that goes one by one.

Tests: tests/inference/scheduler/test_front_and_halves.py.
"""

from __future__ import annotations

from heapq import heappop, heappush

from inference.scheduler.protocol import Request
from inference.scheduler.unit import Unit


class Front:
    """They stand before every policy's choice, by the number of their admission."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Unit]] = []  # units that left are stale entries
        self._count = self._pushed = 0

    def __len__(self) -> int:
        return self._count

    def put(self, r: Request, number: int, arrived: float) -> Unit:
        """`r`, whose turn was admission `number`, waits here as a unit of its own."""
        unit = Unit([r], (0.0, number), arrived=arrived, number=number, in_front=True)
        self._count += 1
        self._pushed += 1
        heappush(self._heap, (number, self._pushed, unit))
        return unit

    def leave(self, unit: Unit) -> None:
        """`unit`, which is here, waits no more."""
        unit.requests.clear()
        self._count -= 1

    def first(self) -> Unit | None:
        """The unit to admit before all others."""
        while self._heap and not self._heap[0][2].requests:
            heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def line(self) -> list[Unit]:
        """All units, the first one first."""
        return [entry[2] for entry in sorted(self._heap, key=lambda entry: entry[:2]) if entry[2].requests]
