"""Deficit longest prefix match (DLPM, arXiv 2501.14312, section 4), a baseline: locality among clients with a deficit left.

Kept: among the waiting requests of clients whose deficit is positive the one with the longest cached prefix goes first; when
no waiting client has any left, each gets quanta until one has; charged are the input tokens that have to be computed and the
output. Differs: written from the paper's idea; a newcomer starts with one quantum; at most `candidates` requests are looked
up per choice, first come first. Test: tests/inference/scheduler/test_baselines.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import islice

from inference.scheduler.fcfs import Fcfs
from inference.scheduler.matching import longest_prefix
from inference.scheduler.order import WEIGHTS, View, prices
from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.unit import Unit

OUTPUT_COST = 2.0


class Dlpm(Fcfs):
    """See the module. `quantum` is in tokens of the class of largest weight. A choice looks at all that wait: O(n)."""

    def __init__(
        self, quantum: float = 4000.0, candidates: int = 1024, weights: Mapping[ServiceClass, float] = WEIGHTS
    ) -> None:
        super().__init__()
        if quantum <= 0 or candidates < 1:
            raise ValueError("the quantum must be positive, candidates at least 1")
        self.quantum, self.candidates = quantum, candidates
        self._prices = prices(weights)
        self._deficits: OrderedDict[str, float] = OrderedDict()  # the longest unserved first

    def head(self, view: View) -> Unit | None:
        """See `Order.head`."""
        if not self._tickets:
            return None
        clients = {client for _, client in self._queues}
        while all(self._deficit(client) <= 0 for client in clients):
            for client in clients:
                self._charge(client, -self.quantum)
        return longest_prefix(islice(self._eligible(), self.candidates), view)

    def _eligible(self) -> Iterator[Unit]:
        return (unit for unit in super().line() if self._deficit(unit.head.client) > 0)

    def _deficit(self, client: str) -> float:
        return self._deficits.get(client, self.quantum)

    def _charge(self, client: str, cost: float) -> None:
        self._deficits[client] = self._deficit(client) - cost
        self._deficits.move_to_end(client)
        if len(self._deficits) > self.max_counters:
            self._deficits.popitem(last=False)

    def admitted(self, r: Request, uncached: int) -> None:
        """See `Order.admitted`."""
        self._charge(r.client, uncached * self._prices[r.klass])

    def decoded(self, r: Request, n: int) -> None:
        """See `Order.decoded`."""
        self._charge(r.client, OUTPUT_COST * n * self._prices[r.klass])

    def add_service(self, client: str, n: float) -> None:
        """See `Order.add_service`."""
        self._charge(client, n)

    def counters(self, client: str) -> tuple[float, float] | None:
        """See `Order.counters`: the negative deficit, for what is large has been served most."""
        deficit = self._deficits.get(client)
        return None if deficit is None else (-deficit, -deficit)
