"""Early abort under a first-token objective (S-LoRA, MLSys'24, section 4.3 and appendix; its abort_req_queue.py).

Kept: a waiting request is dropped once its age plus a margin (.5 s) reaches the objective (6 s in the paper), for its first
token would come too late anyway; smoothed arrivals (.7 newest, .3 old) against the smoothed size of a batch decide whether
the newest waiting request goes first (more comes than can be served, so old ones are lost already) or the oldest.
Differs: arrivals are counted per round of admissions instead of read off the queue's length, from which drops subtract; figures
are not truncated to integers; it is an option of every policy (inside one client for the fair ones, over all for FCFS), not a
queue of its own; what has produced a token (preempted) is never dropped; a pair is dropped whole, by its older half.
Test: tests/inference/scheduler/test_early_abort.py.
"""

from __future__ import annotations

from heapq import heappop, heappush

from inference.scheduler.unit import Unit

SMOOTHING = 0.7  # weight of the newest figure


class EarlyAbort:
    """Deadlines of waiting units, and whether the newest should go first. Times in seconds."""

    def __init__(self, slo_s: float, margin_s: float) -> None:
        if not 0 <= margin_s < slo_s:
            raise ValueError("the margin of early abort is at least 0 and below the objective")
        self.slo_s, self.margin_s = slo_s, margin_s
        self._deadlines: list[tuple[float, int, Unit]] = []  # heap; entries of units that left are stale
        self._arrived = self._admitted = 0
        self._round: float | None = None
        self.arrivals = self.capacity = 1.0  # smoothed, units per round

    @property
    def newest_first(self) -> bool:
        """Does more arrive than is admitted?"""
        return self.arrivals >= self.capacity

    def arrived(self, unit: Unit) -> None:
        """`unit` waits from now on."""
        self._arrived += 1
        heappush(self._deadlines, (unit.arrived + self.slo_s - self.margin_s, unit.number, unit))

    def admitted(self, now: float) -> None:
        """A unit starts; those of one `now` are one round."""
        if self._round is not None and now != self._round:
            self._close()
        self._round = now
        self._admitted += 1

    def _close(self) -> None:
        self.arrivals = SMOOTHING * self._arrived + (1 - SMOOTHING) * self.arrivals
        self.capacity = max(1.0, SMOOTHING * self._admitted + (1 - SMOOTHING) * self.capacity)
        self._arrived = self._admitted = 0

    def overdue(self, now: float) -> list[Unit]:
        """Units that would start too late; they are forgotten here."""
        late = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            late.append(heappop(self._deadlines)[2])
        return late

    def next_deadline(self) -> float | None:
        """When the next unit becomes overdue."""
        while self._deadlines and not self._deadlines[0][2].requests:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None
