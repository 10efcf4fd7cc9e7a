"""What is admitted at once: a request, or a pair; and one client's queue of them.

Tests: tests/inference/scheduler/test_unit_queue.py, test_step_costs.py.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from inference.scheduler.protocol import Request

GroupKey = tuple[str, str]
SortKey = tuple[float, int]

_key = attrgetter("key")


def group_key(r: Request) -> GroupKey:
    """The group of `r`; a client that names none (a job) is a group of its own."""
    return ("group", r.group) if r.group else ("client", r.client)


@dataclass(eq=False, slots=True)
class Unit:
    """Requests that are admitted together.

    `key` sorts inside one client, `arrived` (seconds) and `number` say since when it waits. `held_until` is set while a pair
    waits for its other half. `in_front` units have had their turn already (preempted, or the second half of a pair that
    went one by one); they stand outside policy and bounds. A unit that left has no requests.
    """

    requests: list[Request]
    key: SortKey
    size: int = 1
    arrived: float = 0.0
    number: int = 0
    held_until: float | None = None
    in_front: bool = False
    prefix: str | None = None  # under which its queue has it

    @property
    def head(self) -> Request:
        return self.requests[0]

    @property
    def ordered(self) -> bool:
        """Has its client asked for a place (`Request.order`) that nothing may change?"""
        return self.requests[0].order is not None


class UnitQueue:
    """The units of one client by key, and by prefix where they name one and no order.

    Comparisons are O(log n); a list moves pointers faster than a tree balances.
    """

    __slots__ = ("_sharing", "_units")

    def __init__(self) -> None:
        self._units: list[Unit] = []
        self._sharing: dict[str, list[Unit]] = {}

    def __len__(self) -> int:
        return len(self._units)

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._units)

    def put(self, unit: Unit) -> None:
        """Queue `unit`."""
        insort(self._units, unit, key=_key)
        unit.prefix = None if unit.ordered else unit.head.prefix
        if unit.prefix is not None:
            insort(self._sharing.setdefault(unit.prefix, []), unit, key=_key)

    def take(self, unit: Unit) -> None:
        """Remove `unit`, which is here."""
        del self._units[bisect_left(self._units, unit.key, key=_key)]
        if unit.prefix is not None:
            alike = self._sharing[unit.prefix]
            del alike[bisect_left(alike, unit.key, key=_key)]
            if not alike:
                del self._sharing[unit.prefix]

    def next(self, newest_first: bool) -> Unit:
        """The client's next unit. Newest first never reverses an order that the client asked for."""
        units = self._units
        newest = newest_first and not (units[0].ordered or units[-1].ordered)
        return units[-1] if newest else units[0]

    def in_line(self, newest_first: bool, most: int | None = None) -> list[Unit]:
        """All units, or the first `most`, in the order of `next`."""
        newest = newest_first and not any(unit.ordered for unit in self._units)
        return list(islice(reversed(self._units), most)) if newest else self._units[:most]

    def choices(self, most: int) -> list[tuple[Unit, int]]:
        """Up to `most` units between which nothing but age decides, the next one first, each with how many share its prefix.

        Of units that share a prefix only the oldest is a choice. Where the next unit has an explicit order, only those
        of the same order are.
        """
        first = self._units[0]
        chosen = [(first, self._alike(first))]
        if first.ordered:
            same = (unit for unit in self._units[1:most] if unit.ordered and unit.key[0] == first.key[0])
            return chosen + [(unit, 1) for unit in same]
        for units in islice(self._sharing.values(), most):
            if units[0] is not first:
                chosen.append((units[0], len(units)))
        if len(self._sharing) < most:
            free = (unit for unit in self._units[1:most] if unit.prefix is None and not unit.ordered)
            chosen += [(unit, 1) for unit in free]
        return chosen[:most]

    def _alike(self, unit: Unit) -> int:
        return 1 if unit.prefix is None else len(self._sharing[unit.prefix])
