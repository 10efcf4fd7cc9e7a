"""Virtual counters that nest group -> client (VTC, OSDI'24, algorithm 2; nesting is ours).

Kept: a counter per client; whoever has nothing queued is lifted on arrival to the least counter among those who have, and in
an idle queue to the counter of the last who left it. Differs: the same rule is applied twice, to groups (an IP prefix, or a
client that names none) and to the clients of a group, so fresh cookies earn no extra share; where output is paid in advance,
whoever is lifted is lifted to what the least one has received (without what has not been said yet: its refund would leave the
newcomer behind), but never further below what has been the least counter than refunds may take it, so that refunds of many
cannot add up; counters of clients that have nothing here are bounded in number, the longest idle forgotten first, which by
the lift costs nothing once the others have passed it.
Tests: tests/inference/scheduler/test_counters.py, test_nesting.py, test_vtc_reference.py.
"""

from __future__ import annotations

from collections import OrderedDict
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from typing import Generic, TypeVar

from inference.scheduler.protocol import Request
from inference.scheduler.unit import GroupKey, Unit, UnitQueue, group_key

Entry = tuple[float, float, "Node"]
STALE_ENTRIES = 64  # this many beyond one per queued node are kept before a heap is rebuilt
GRACE_TURNS = 64.5  # whoever comes wins a tie against all but those who have waited for so many turns of others


class Node:
    """A counter among its siblings. `turn` breaks ties: who was served longest ago goes first.

    `prepaid` is the part of `counter` that was charged in advance for what has not been said yet: a refund is at most that.
    `fresh`: it had nothing queued and has not been served since something is.
    """

    __slots__ = ("counter", "entry", "fresh", "prepaid", "turn")

    def __init__(self) -> None:
        self.counter = self.prepaid = 0.0
        self.turn = -GRACE_TURNS  # never; turns are whole, and unique among siblings
        self.fresh = False
        self.entry: Entry | None = None  # its valid entry in the heap; None = nothing queued

    @property
    def lone(self) -> bool:
        """Is all that it has here one waiting unit?"""
        raise NotImplementedError


class Client(Node):
    """A fairness client in one group: its queue, how many of its requests run, and how long its replies are on average.

    `overtaken` counts the units that left the queue since the oldest one in it became the oldest.
    """

    __slots__ = ("group", "mean_length", "name", "overtaken", "queue", "running")

    @property
    def lone(self) -> bool:
        """Is all that it has here one waiting unit?"""
        return not self.running and len(self.queue) == 1

    def __init__(self, name: str, group: Group) -> None:
        super().__init__()
        self.name, self.group = name, group
        self.queue = UnitQueue()
        self.running = self.overtaken = 0
        self.mean_length: float | None = None


class Group(Node):
    """A group and the counters of its clients."""

    __slots__ = ("active", "clients", "key", "running")

    def __init__(self, key: GroupKey, lift: bool) -> None:
        super().__init__()
        self.key, self.running = key, 0
        self.clients: dict[str, Client] = {}
        self.active: Siblings[Client] = Siblings(lift)

    @property
    def lone(self) -> bool:
        """Is all that its clients have here one waiting unit?"""
        return not self.running and len(self.active) == 1 and self.active.least().lone


N = TypeVar("N", bound=Node)


class Siblings(Generic[N]):
    """The counters under one parent; those with something queued in a heap.

    A charge only moves a counter up, so its heap entry is mended when it surfaces: O(1) per charge, O(log n) per look.
    """

    def __init__(self, lift: bool) -> None:
        self._lift = lift
        self._heap: list[Entry] = []
        self._count = 0
        self._last: N | None = None
        self.highest_least = self.most_prepaid = 0.0  # so far

    def __len__(self) -> int:
        return self._count

    def enter(self, node: N, turn: int) -> None:
        """`node` has something queued now: VTC's lift.

        The lift makes a tie with the least one, which is as a rule the one that is busiest: who was served longer ago wins it,
        and a node that never was counts as served GRACE_TURNS ago, so that newcomers can pass nobody for longer.
        """
        if self._lift:
            level = self.least() if self._count else self._last
            if level is not None:
                node.counter = max(node.counter, level.counter - level.prepaid)
            if self.most_prepaid:
                node.counter = max(node.counter, self.highest_least - self.most_prepaid + node.prepaid)
        node.turn = max(node.turn, turn - GRACE_TURNS)
        node.fresh = True
        self._count += 1
        self._push(node)

    def leave(self, node: N) -> None:
        """`node` has nothing queued any more."""
        node.entry = None
        self._count -= 1
        self._last = node

    def charge(self, node: N, amount: float) -> None:
        """Move a counter, queued or not; down for a refund."""
        node.counter += amount
        if amount < 0 and node.entry is not None:
            self._push(node)

    def prepay(self, node: N, amount: float) -> None:
        """That much more (or less) of the node's counter is for what has not been said yet."""
        node.prepaid += amount
        self.most_prepaid = max(self.most_prepaid, node.prepaid)

    def _push(self, node: N) -> None:
        entry: Entry = (node.counter, node.turn, node)
        node.entry = entry
        heappush(self._heap, entry)
        if len(self._heap) > 2 * self._count + STALE_ENTRIES:
            self._heap = [entry for entry in self._heap if entry is entry[2].entry]
            heapify(self._heap)

    def least(self) -> N:
        """The queued node of least (counter, turn). Raises IndexError when nothing is queued."""
        heap = self._heap
        while True:
            entry = heap[0]
            counter, turn, node = entry
            if entry is not node.entry:
                heappop(heap)
            elif counter != node.counter or turn != node.turn:
                node.entry = (node.counter, node.turn, node)
                heapreplace(heap, node.entry)
            else:
                self.highest_least = max(self.highest_least, counter)
                return node  # type: ignore[return-value]

    def within(self, slack: float, most: int) -> list[N]:
        """Queued nodes whose counter is at most the least + `slack`, the least first; at most `most`. O(most x log n)."""
        found: list[N] = []
        if not self._count:
            return found
        limit = self.least().counter + slack
        while len(found) < min(most, self._count):
            node = self.least()
            if node.counter > limit:
                break
            found.append(node)
            heappop(self._heap)
        for node in found:
            assert node.entry is not None
            heappush(self._heap, node.entry)
        return found

    def snapshot(self, most: int | None = None) -> list[Entry]:
        """A heap of true entries, to be consumed: all, or the `most` least. O(n), or O(most x log n)."""
        nodes = (e[2] for e in self._heap if e[2].entry is e) if most is None else self.within(inf, most)
        return sorted((node.counter, node.turn, node) for node in nodes)  # a sorted list is a heap


class Counters:
    """All groups and clients that are known. `most` bounds those that have nothing queued or running."""

    def __init__(self, lift: bool = True, most: int = 10_000) -> None:
        self.most = most
        self._lift = lift
        self.active: Siblings[Group] = Siblings(lift)
        self._groups: dict[GroupKey, Group] = {}
        self._idle: OrderedDict[Client, None] = OrderedDict()
        self._latest: dict[str, Client] = {}  # by name, in the group it was last seen in
        self._owed: OrderedDict[str, float] = OrderedDict()  # service elsewhere of clients that are not known here
        self.turn = 0

    def __len__(self) -> int:
        return sum(len(group.clients) for group in self._groups.values())

    def find(self, name: str) -> Client | None:
        """The client of this name in the group that it was last seen in."""
        return self._latest.get(name)

    def of(self, r: Request) -> Client:
        """The client of `r`, made known if it is not."""
        key = group_key(r)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, self._lift)
        client = group.clients.get(r.client)
        if client is None:
            client = group.clients[r.client] = Client(r.client, group)
            self._latest[r.client] = client
            self.charge(client, self._owed.pop(r.client, 0.0))
        return client

    def put(self, unit: Unit) -> None:
        """A unit is queued; its client, and its group, may have had nothing queued until now."""
        client = self.of(unit.head)
        group = client.group
        self._latest[client.name] = client
        self._idle.pop(client, None)
        if not client.queue:
            if not len(group.active):
                self.active.enter(group, self._next_turn())
            group.active.enter(client, self._next_turn())
        client.queue.put(unit)

    def take(self, unit: Unit) -> Client:
        """A queued unit leaves, for whatever reason."""
        client = self.of(unit.head)
        group = client.group
        client.queue.take(unit)
        if not client.queue:
            group.active.leave(client)
            if not len(group.active):
                self.active.leave(group)
            self._rest(client)
        return client

    def served(self, client: Client) -> None:
        """The client and its group have had their turn: among equals they go last."""
        client.turn = self._next_turn()
        client.group.turn = self._next_turn()
        client.fresh = client.group.fresh = False

    def _next_turn(self) -> int:
        self.turn += 1
        return self.turn

    def charge(self, client: Client, amount: float) -> None:
        """Charge a client and its group."""
        client.group.active.charge(client, amount)
        self.active.charge(client.group, amount)

    def prepay(self, client: Client, amount: float) -> None:
        """Note that so much of what a client and its group were charged is for what has not been said yet."""
        client.group.active.prepay(client, amount)
        self.active.prepay(client.group, amount)

    def owe(self, name: str, amount: float) -> None:
        """Charge a client by name, now or when it comes."""
        client = self._latest.get(name)
        if client is not None:
            self.charge(client, amount)
            return
        self._owed[name] = self._owed.pop(name, 0.0) + amount
        if len(self._owed) > self.most:
            self._owed.popitem(last=False)

    # -- forgetting ------------------------------------------------------------------------------------------------

    def began(self, client: Client) -> None:
        """A request of the client runs."""
        client.running += 1
        client.group.running += 1
        self._idle.pop(client, None)

    def over(self, client: Client) -> None:
        """A running request of the client ended."""
        client.running -= 1
        client.group.running -= 1
        self._rest(client)

    def _rest(self, client: Client) -> None:
        """Whoever has nothing here may be forgotten, the longest idle first."""
        if client.running or client.queue:
            return
        self._idle[client] = None
        while len(self._idle) > self.most:
            self._forget(self._idle.popitem(last=False)[0])

    def _forget(self, client: Client) -> None:
        del client.group.clients[client.name]
        if self._latest.get(client.name) is client:
            del self._latest[client.name]
        if not client.group.clients:
            del self._groups[client.group.key]
