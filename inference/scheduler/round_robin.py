"""Round-robin: service classes by weight (4 : 1 : 1), then groups in turn, then the group's clients in turn.

A visitor with many cookies shares what one visitor gets. Between two turns of a client that always waits, each other group
of its class has at most one. If the head does not fit, nothing is skipped: a large request is never starved by small ones.
Tests: tests/inference/scheduler/test_round_robin.py, test_round_robin_properties.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from inference.scheduler.order import WEIGHTS, Order, View
from inference.scheduler.protocol import ServiceClass
from inference.scheduler.unit import GroupKey, Unit, UnitQueue, group_key

Clients = OrderedDict[str, UnitQueue]


@dataclass(eq=False, slots=True)
class Lane:
    """One class: groups and, inside each, clients in rotation. `turn` is its virtual time: admissions / weight."""

    weight: float
    turn: float = 0.0
    groups: OrderedDict[GroupKey, Clients] = field(default_factory=OrderedDict)

    def put(self, unit: Unit) -> None:
        """Queue `unit`; a client or group that had nothing waiting joins the end of its rotation."""
        clients = self.groups.setdefault(group_key(unit.head), OrderedDict())
        clients.setdefault(unit.head.client, UnitQueue()).put(unit)

    def head(self, newest_first: bool) -> Unit:
        """The unit whose turn it is. Raises StopIteration on an empty lane."""
        clients = next(iter(self.groups.values()))
        return next(iter(clients.values())).next(newest_first)

    def take(self, unit: Unit) -> None:
        """Remove `unit` wherever it stands; nobody's turn is used up."""
        group = group_key(unit.head)
        clients = self.groups[group]
        queue = clients[unit.head.client]
        queue.take(unit)
        if not queue:
            del clients[unit.head.client]
        if not clients:
            del self.groups[group]

    def advance(self, unit: Unit) -> None:
        """Remove `unit`, admitted: its client and its group have had their turn."""
        self.take(unit)
        group = group_key(unit.head)
        if group in self.groups:
            clients = self.groups[group]
            if unit.head.client in clients:
                clients.move_to_end(unit.head.client)
            self.groups.move_to_end(group)
        self.turn += 1.0 / self.weight

    def line(self, newest_first: bool) -> Iterator[Unit]:
        """The lane's units in the order in which they would be taken."""
        groups = OrderedDict(
            (key, OrderedDict((client, iter(queue.in_line(newest_first))) for client, queue in clients.items()))
            for key, clients in self.groups.items()
        )
        while groups:
            key, clients = next(iter(groups.items()))
            client, units = next(iter(clients.items()))
            unit = next(units, None)
            if unit is None:
                del clients[client]
            else:
                clients.move_to_end(client)
                groups.move_to_end(key)
                yield unit
            if not clients:
                del groups[key]


class Rotation(Order):
    """All lanes. The lane with the least virtual time goes next; one that was idle starts level with the others."""

    def __init__(self, weights: Mapping[ServiceClass, float] = WEIGHTS) -> None:
        if min(weights.values()) <= 0:
            raise ValueError("class weights must be positive")
        self.lanes = {klass: Lane(weight) for klass, weight in weights.items()}

    def put(self, unit: Unit) -> None:
        """See `Order.put`."""
        lane = self.lanes[unit.head.klass]
        if not lane.groups:
            busy = [other.turn for other in self.lanes.values() if other.groups]
            # An idle engine has no debts to remember: level with the lane that was served most.
            floor = min(busy) if busy else max(other.turn for other in self.lanes.values())
            lane.turn = max(lane.turn, floor)
        lane.put(unit)

    def head(self, view: View) -> Unit | None:
        """See `Order.head`."""
        lane = min((lane for lane in self.lanes.values() if lane.groups), key=lambda lane: lane.turn, default=None)
        return None if lane is None else lane.head(self.newest_first)

    def take(self, unit: Unit) -> None:
        """See `Order.take`."""
        self.lanes[unit.head.klass].take(unit)

    def start(self, unit: Unit) -> None:
        """See `Order.start`."""
        self.lanes[unit.head.klass].advance(unit)

    def line(self, most: int | None = None) -> Iterator[Unit]:
        """See `Order.line`."""
        turns = [lane.turn for lane in self.lanes.values()]
        lines = [lane.line(self.newest_first) for lane in self.lanes.values()]
        weights = [lane.weight for lane in self.lanes.values()]
        heads = [next(line, None) for line in lines]
        while any(heads):
            i = min((i for i, unit in enumerate(heads) if unit is not None), key=lambda i: turns[i])
            unit = heads[i]
            assert unit is not None
            yield unit
            turns[i] += 1.0 / weights[i]
            heads[i] = next(lines[i], None)
