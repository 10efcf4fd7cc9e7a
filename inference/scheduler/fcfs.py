"""First come, first served over all clients: the baseline of every paper here. `order` sorts inside one client only.

Test: tests/inference/scheduler/test_baselines.py.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from inference.scheduler.order import Order, View
from inference.scheduler.unit import GroupKey, Unit, UnitQueue, group_key

Owner = tuple[GroupKey, str]
Ticket = tuple[float, int, Owner]


def owner(unit: Unit) -> Owner:
    """The client of `unit` in its group."""
    return group_key(unit.head), unit.head.client


class Fcfs(Order):
    """Each unit draws a ticket when it arrives; a client's tickets are used by its units in their own order."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []
        self._mine: dict[Owner, list[Ticket]] = {}
        self._queues: dict[Owner, UnitQueue] = {}

    def put(self, unit: Unit) -> None:
        """See `Order.put`."""
        mine = owner(unit)
        ticket = (unit.arrived, unit.number, mine)
        insort(self._tickets, ticket)
        insort(self._mine.setdefault(mine, []), ticket)
        self._queues.setdefault(mine, UnitQueue()).put(unit)

    def take(self, unit: Unit) -> None:
        """See `Order.take`: the client's last ticket is void, so that its other units keep their places."""
        self._leave(unit, -1)

    def start(self, unit: Unit) -> None:
        """See `Order.start`."""
        self._leave(unit, -1 if self.newest_first else 0)

    def _leave(self, unit: Unit, at: int) -> None:
        mine = owner(unit)
        ticket = self._mine[mine].pop(at)
        del self._tickets[bisect_left(self._tickets, ticket)]
        self._queues[mine].take(unit)
        if not self._mine[mine]:
            del self._mine[mine], self._queues[mine]

    def head(self, view: View) -> Unit | None:
        """See `Order.head`."""
        if not self._tickets:
            return None
        ticket = self._tickets[-1 if self.newest_first else 0]
        return self._queues[ticket[2]].next(self.newest_first)

    def line(self, most: int | None = None) -> Iterator[Unit]:
        """See `Order.line`."""
        queues: dict[Owner, Iterator[Unit]] = {}
        for _, _, mine in reversed(self._tickets) if self.newest_first else self._tickets:
            if mine not in queues:
                queues[mine] = iter(self._queues[mine].in_line(self.newest_first, most))
            yield next(queues[mine])
