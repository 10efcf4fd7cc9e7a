"""The queue of round-robin: service classes by weight, then groups in turn, then the group's clients in turn.

`Unit` is what is admitted at once: a request, or a pair. A `Lane` is one service class.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from inference.scheduler.protocol import Request, ServiceClass

GroupKey = tuple[str, str]
SortKey = tuple[float, int]


def group_key(r: Request) -> GroupKey:
    """The group of `r`; a client that names none (a job) is a group of its own."""
    return ("group", r.group) if r.group else ("client", r.client)


@dataclass(eq=False, slots=True)
class Unit:
    """Requests that are admitted together.

    `held_until` is set while a pair waits for its other half. `in_front` units have had their turn already (preempted, or
    the second half of a pair that went one by one); they stand outside rotation and bounds. A unit that left has no requests.
    """

    requests: list[Request]
    key: SortKey
    size: int = 1
    held_until: float | None = None
    in_front: bool = False

    @property
    def head(self) -> Request:
        return self.requests[0]


Clients = OrderedDict[str, list[tuple[SortKey, Unit]]]


@dataclass(eq=False, slots=True)
class Lane:
    """One class: groups and, inside each, clients in rotation. `turn` is its virtual time: admissions / weight."""

    weight: float
    turn: float = 0.0
    groups: OrderedDict[GroupKey, Clients] = field(default_factory=OrderedDict)

    def put(self, unit: Unit) -> None:
        """Queue `unit`; a client or group that had nothing waiting joins the end of its rotation."""
        clients = self.groups.setdefault(group_key(unit.head), OrderedDict())
        insort(clients.setdefault(unit.head.client, []), (unit.key, unit), key=lambda entry: entry[0])

    def head(self) -> Unit:
        """The unit whose turn it is. Raises StopIteration on an empty lane."""
        clients = next(iter(self.groups.values()))
        return next(iter(clients.values()))[0][1]

    def take(self, unit: Unit) -> None:
        """Remove `unit` wherever it stands; nobody's turn is used up."""
        group = group_key(unit.head)
        clients = self.groups[group]
        queue = clients[unit.head.client]
        del queue[bisect_left(queue, unit.key, key=lambda entry: entry[0])]
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

    def copy(self) -> Lane:
        """A copy that can be drained."""
        groups = OrderedDict(
            (key, OrderedDict((client, queue.copy()) for client, queue in clients.items()))
            for key, clients in self.groups.items()
        )
        return Lane(self.weight, self.turn, groups)


class Rotation:
    """All lanes. The lane with the least virtual time goes next; one that was idle starts level with the others."""

    def __init__(self, weights: dict[ServiceClass, float]) -> None:
        self.lanes = {klass: Lane(weight) for klass, weight in weights.items()}

    def __bool__(self) -> bool:
        return any(lane.groups for lane in self.lanes.values())

    def put(self, unit: Unit) -> None:
        """Queue `unit` in its class's lane."""
        lane = self.lanes[unit.head.klass]
        if not lane.groups:
            busy = [other.turn for other in self.lanes.values() if other.groups]
            # An idle engine has no debts to remember: level with the lane that was served most.
            floor = min(busy) if busy else max(other.turn for other in self.lanes.values())
            lane.turn = max(lane.turn, floor)
        lane.put(unit)

    def next_lane(self) -> Lane | None:
        """The lane whose turn it is, or None when nothing is queued."""
        return min((lane for lane in self.lanes.values() if lane.groups), key=lambda lane: lane.turn, default=None)

    def take(self, unit: Unit) -> None:
        """Remove `unit` without using up a turn."""
        self.lanes[unit.head.klass].take(unit)

    def advance(self, unit: Unit) -> None:
        """Remove `unit`, admitted."""
        self.lanes[unit.head.klass].advance(unit)

    def order(self) -> Iterator[Unit]:
        """The order of admission if nothing else arrived; O(n log n) for all, leaves the rotation as it is."""
        copy = Rotation({})
        copy.lanes = {klass: lane.copy() for klass, lane in self.lanes.items()}
        while (lane := copy.next_lane()) is not None:
            unit = lane.head()
            yield unit
            lane.advance(unit)
