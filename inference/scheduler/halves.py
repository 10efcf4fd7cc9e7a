"""Pairs of which one half has come: how long it waits for the other, and what happens if that comes too late.

Tests: tests/inference/scheduler/test_front_and_halves.py.
"""

from __future__ import annotations

from heapq import heappop, heappush

from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.unit import GroupKey, Unit, group_key

PairKey = tuple[str, GroupKey, ServiceClass, str]


def _pair_key(r: Request) -> PairKey | None:
    return None if r.pair is None or r.pair_size < 2 else (r.client, group_key(r), r.klass, r.pair)


class Halves:
    """Waiting pairs by name, those within their hold by deadline, and pairs of which a half runs without the other."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self._waiting: dict[PairKey, Unit] = {}
        self._alone: set[PairKey] = set()
        self._holds: list[tuple[float, int, Unit]] = []  # heap; entries of units no longer held are stale

    def partner(self, r: Request) -> Unit | None:
        """The waiting unit that `r` belongs to, if the other half is here already."""
        key = _pair_key(r)
        return None if key is None else self._waiting.get(key)

    def torn(self, r: Request) -> bool:
        """Does the other half of `r` run (or has it run) without it?"""
        return _pair_key(r) in self._alone

    def hold(self, unit: Unit, now: float) -> bool:
        """Hold a new unit until its other half comes. False, and nothing done, if there is nothing to wait for."""
        key = _pair_key(unit.head)
        if key is None or key in self._alone:
            return False
        self._waiting[key] = unit
        unit.held_until = now + self.hold_s
        heappush(self._holds, (unit.held_until, unit.number, unit))
        return True

    def expired(self, now: float) -> list[Unit]:
        """The units whose hold is over at `now`; they are held no more."""
        over = []
        while (until := self.next_deadline()) is not None and until <= now:
            unit = heappop(self._holds)[2]
            unit.held_until = None
            over.append(unit)
        return over

    def next_deadline(self) -> float | None:
        """When the first hold ends."""
        while self._holds and self._holds[0][2].held_until is None:
            heappop(self._holds)
        return self._holds[0][0] if self._holds else None

    def admitted(self, unit: Unit, r: Request) -> None:
        """`r` of `unit` starts; its other half, if not in the unit, will find itself alone."""
        key = _pair_key(r)
        if key is not None:
            self._waiting.pop(key, None)
            if len(unit.requests) < r.pair_size:
                self._alone.add(key)

    def gone(self, r: Request) -> None:
        """The last waiting request of a pair left."""
        key = _pair_key(r)
        if key is not None:
            self._waiting.pop(key, None)

    def ended(self, r: Request) -> None:
        """A running half is over: a second half that comes later is a request like any other."""
        key = _pair_key(r)
        if key is not None:
            self._alone.discard(key)
