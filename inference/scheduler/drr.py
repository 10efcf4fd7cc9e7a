"""Deficit round robin over clients (VTC, OSDI'24, section 5.1 and appendix; the artifact's mdrr queue), a baseline.

Kept: clients in rotation; a client whose deficit is used up gets one quantum when its turn comes (a twentieth of the pool by
default), and is served until its deficit is used up, its queue empty or its head does not fit; charges as in VTC, so output
makes deficits negative, which later turns pay back; who still owes stays in the rotation with an empty queue.
Differs: a deficit that is left over is lost when nothing of the client is queued or runs (classic DRR); pairs are one request.
Test: tests/inference/scheduler/test_baselines.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from inference.scheduler.order import WEIGHTS, Order, View, prices
from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.unit import Unit, UnitQueue

INPUT_COST, OUTPUT_COST = 1.0, 2.0


@dataclass(slots=True)
class Tab:
    """What a client may still take before others are served, in units of cost."""

    deficit: float = 0.0
    queue: UnitQueue = field(default_factory=UnitQueue)
    running: int = 0
    visited: bool = False  # has had its quantum in this turn


class Drr(Order):
    """See the module. `quantum` is in tokens of the class of largest weight; None = `pool_tokens` / 20."""

    def __init__(
        self,
        pool_tokens: int = 10_000,
        quantum: float | None = None,
        weights: Mapping[ServiceClass, float] = WEIGHTS,
    ) -> None:
        self.quantum = pool_tokens / 20 if quantum is None else quantum
        if self.quantum <= 0:
            raise ValueError("the quantum must be positive")
        self._prices = prices(weights)
        self._tabs: dict[str, Tab] = {}
        self._rotation: OrderedDict[str, Tab] = OrderedDict()
        self._queued = 0

    def put(self, unit: Unit) -> None:
        """See `Order.put`."""
        tab = self._tabs.setdefault(unit.head.client, Tab())
        tab.queue.put(unit)
        self._rotation.setdefault(unit.head.client, tab)
        self._queued += 1

    def take(self, unit: Unit) -> None:
        """See `Order.take`."""
        tab = self._tabs[unit.head.client]
        tab.queue.take(unit)
        self._queued -= 1
        self._rest(unit.head.client, tab)

    def start(self, unit: Unit) -> None:
        """See `Order.start`."""
        self.take(unit)

    def _rest(self, client: str, tab: Tab) -> None:
        """Whoever has nothing queued and owes nothing leaves the rotation; with nothing running it is forgotten."""
        if tab.queue:
            return
        if tab.deficit >= 0:
            self._rotation.pop(client, None)
            tab.visited = False
            if not tab.running:
                self._tabs.pop(client, None)
        elif len(self._rotation) > self.max_counters:
            idle = next((name for name, t in self._rotation.items() if not t.queue and not t.running), None)
            if idle is not None:
                del self._rotation[idle], self._tabs[idle]

    def head(self, view: View) -> Unit | None:
        """See `Order.head`. Each quantum given was used up before: O(1) amortised over service."""
        if not self._queued:
            return None
        while True:
            client, tab = next(iter(self._rotation.items()))
            if not tab.visited and tab.deficit <= 0:
                tab.deficit += self.quantum
            tab.visited = True
            if tab.deficit > 0 and tab.queue:
                return tab.queue.next(self.newest_first)
            tab.visited = False
            self._rotation.move_to_end(client)
            self._rest(client, tab)

    def _charge(self, r: Request, cost: float) -> None:
        self._tabs[r.client].deficit -= cost * self._prices[r.klass]

    def admitted(self, r: Request, uncached: int) -> None:
        """See `Order.admitted`."""
        self._tabs.setdefault(r.client, Tab()).running += 1
        self._charge(r, INPUT_COST * r.input_len)

    def decoded(self, r: Request, n: int) -> None:
        """See `Order.decoded`."""
        self._charge(r, OUTPUT_COST * n)

    def ended(self, r: Request) -> None:
        """See `Order.ended`."""
        tab = self._tabs.get(r.client)
        if tab is not None:
            tab.running -= 1
            if tab.deficit < 0:
                self._rotation.setdefault(r.client, tab)
            self._rest(r.client, tab)

    def add_service(self, client: str, n: float) -> None:
        """See `Order.add_service`. Who is not here owes nothing."""
        if client in self._tabs:
            self._tabs[client].deficit -= n

    def counters(self, client: str) -> tuple[float, float] | None:
        """See `Order.counters`: the negative deficit, for what is large has been served most."""
        tab = self._tabs.get(client)
        return None if tab is None else (-tab.deficit, -tab.deficit)

    def line(self, most: int | None = None) -> Iterator[Unit]:
        """See `Order.line`: as if all were admitted at once, each charged its input."""
        turns = OrderedDict(
            (client, (tab.deficit, tab.visited, tab.queue.in_line(self.newest_first, most)[::-1]))
            for client, tab in self._rotation.items()
            if tab.queue
        )
        while turns:
            client, (deficit, visited, queue) = turns.popitem(last=False)
            deficit += self.quantum if deficit <= 0 and not visited else 0.0
            while queue and deficit > 0:
                unit = queue.pop()
                yield unit
                deficit -= sum(INPUT_COST * r.input_len * self._prices[r.klass] for r in unit.requests)
            if queue:
                turns[client] = (deficit, False, queue)
