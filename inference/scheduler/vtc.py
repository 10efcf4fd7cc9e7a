"""Virtual Token Counter (Sheng et al., "Fairness in Serving Large Language Models", OSDI'24, algorithm 2, section 4).

Kept: a counter per client; both branches of the lift on arrival (the artifact omits the one of an idle system); admission
takes the client of least counter and its oldest request, and stops at the first that does not fit; charges w_p x input at
admission and w_q per decoded token, divided by the weight; any cost function, charged as differences; length prediction
(charged at admission, beyond it per token, the rest refunded at the end) and the oracle.
Differs: counters nest group -> client (counters.py); the weight belongs to the service class; a pair is one request of summed
cost; equal counters take turns; what was preempted is not charged again; `order` sorts inside one client.
Bound: two clients (of one group, or alone in theirs) that always wait differ by at most 2U in any interval,
U = max(w_p x largest input, w_q x pool tokens); docs/scheduling.md has the proof and what it asks of the memory test.
Tests: tests/inference/scheduler/test_vtc_reference.py (algorithm 2 as printed), test_vtc.py, test_vtc_properties.py,
test_nesting.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heapreplace

from inference.scheduler.cost import COSTS, Cost, linear
from inference.scheduler.counters import Client, Counters, Entry, Group
from inference.scheduler.lengths import LENGTHS
from inference.scheduler.order import WEIGHTS, Order, View, prices
from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.unit import Unit


@dataclass(slots=True)
class Account:
    """An admitted request: `paid` is h(n_in, the larger of `out` and `expected`), before the price of its class.

    `prepaid` is what of that was charged at admission for expected output that has not come yet, its price included.
    """

    client: Client
    price: float
    n_in: int
    expected: float
    paid: float
    prepaid: float
    out: int = 0


class Vtc(Order):
    """See the module. `cost` names a function of cost.py or is one; `lengths` is none, predicted, credibility or oracle.

    `charge_cached` False charges only the input that has to be computed.
    """

    lift = True

    def __init__(
        self,
        weights: Mapping[ServiceClass, float] = WEIGHTS,
        input_weight: float = 1.0,
        output_weight: float = 2.0,
        cost: str | Cost | None = None,
        lengths: str = "none",
        charge_cached: bool = True,
    ) -> None:
        if lengths not in LENGTHS or (isinstance(cost, str) and cost not in COSTS):
            raise ValueError(f"lengths is one of {', '.join(LENGTHS)}, cost one of {', '.join(COSTS)} or a function")
        self._prices = prices(weights)
        found = COSTS[cost] if isinstance(cost, str) else cost
        self._cost = found or linear(input_weight, output_weight)
        self._lengths = LENGTHS[lengths]()
        self._charge_cached = charge_cached
        self._tree = Counters(self.lift)
        self._accounts: dict[str, Account] = {}

    @property
    def max_counters(self) -> int:
        """Clients without anything here whose counters are kept."""
        return self._tree.most

    @max_counters.setter
    def max_counters(self, most: int) -> None:
        self._tree.most = most

    # -- queueing --------------------------------------------------------------------------------------------------

    def put(self, unit: Unit) -> None:
        """See `Order.put`."""
        self._tree.put(unit)

    def take(self, unit: Unit) -> None:
        """See `Order.take`."""
        self._tree.take(unit)

    def start(self, unit: Unit) -> None:
        """See `Order.start`."""
        self._tree.served(self._tree.take(unit))

    def head(self, view: View) -> Unit | None:
        """See `Order.head`: the least group, its least client, its next unit."""
        if not len(self._tree.active):
            return None
        return self._tree.active.least().active.least().queue.next(self.newest_first)

    # -- charging --------------------------------------------------------------------------------------------------

    def chargeable(self, r: Request, uncached: int) -> int:
        """Input tokens that are charged: all, cached or not, as in the paper, unless `charge_cached` says otherwise."""
        return r.input_len if self._charge_cached else uncached

    def admitted(self, r: Request, uncached: int) -> None:
        """See `Order.admitted`."""
        client = self._tree.of(r)
        n_in, expected = self.chargeable(r, uncached), self._lengths.expected(r, client)
        price, paid = self._prices[r.klass], self._cost(n_in, expected)
        prepaid = (paid - self._cost(n_in, 0)) * price
        self._accounts[r.id] = Account(client, price, n_in, expected, paid, prepaid)
        self._tree.began(client)
        self._tree.charge(client, paid * price)
        if prepaid:
            self._tree.prepay(client, prepaid)

    def decoded(self, r: Request, n: int) -> None:
        """See `Order.decoded`: O(1), for a counter that rises is mended in its heap when it surfaces."""
        account = self._accounts[r.id]
        account.out += n
        if account.out > account.expected:
            self._settle(account)
        if account.prepaid:
            self._spend(account)

    def _spend(self, account: Account) -> None:
        """What has been said is paid in advance no more."""
        left = max(0.0, account.paid - self._cost(account.n_in, account.out)) * account.price
        self._tree.prepay(account.client, left - account.prepaid)
        account.prepaid = left

    def _settle(self, account: Account) -> None:
        """Charge, or give back, what lies between what was paid and the cost of what was said."""
        due = self._cost(account.n_in, account.out)
        self._tree.charge(account.client, (due - account.paid) * account.price)
        account.paid = due

    def ended(self, r: Request) -> None:
        """See `Order.ended`: what was charged in advance and not said is given back."""
        account = self._accounts.pop(r.id, None)
        if account is None:
            return
        if account.out < account.expected:
            self._settle(account)
        if account.prepaid:
            self._tree.prepay(account.client, -account.prepaid)
        self._lengths.was(account.client, account.out)
        self._tree.over(account.client)

    def add_service(self, client: str, n: float) -> None:
        """See `Order.add_service`; `n` is in tokens of the class of largest weight."""
        self._tree.owe(client, n)

    def counters(self, client: str) -> tuple[float, float] | None:
        """See `Order.counters`. Of a client that is its own group the one counter that is compared, twice."""
        found = self._tree.find(client)
        if found is None:
            return None
        alone = found.group.key[0] == "client"
        return (found.group.counter if alone else found.counter, found.group.counter)

    def spread(self) -> float:
        """See `Order.spread`."""
        counters = [counter for counter, _, _ in self._tree.active.snapshot()]
        return max(counters) - min(counters) if counters else 0.0

    # -- telling the order -----------------------------------------------------------------------------------------

    def line(self, most: int | None = None) -> Iterator[Unit]:
        """See `Order.line`: as if all were admitted at once, each charged what admission charges. O(log n) each.

        The first `most` units are of the `most` least groups, for each of which only one's counter is moved, and so inside each.
        """
        groups = self._tree.active.snapshot(most)
        clients: dict[int, list[Entry]] = {}
        queues: dict[int, list[Unit]] = {}
        turn = self._tree.turn
        while groups:
            group_counter, _, group = groups[0]
            assert isinstance(group, Group)
            heap = clients.get(id(group)) or clients.setdefault(id(group), group.active.snapshot(most))
            counter, _, client = heap[0]
            assert isinstance(client, Client)
            if id(client) not in queues:
                queues[id(client)] = client.queue.in_line(self.newest_first, most)[::-1]
            queue = queues[id(client)]
            unit = queue.pop()
            yield unit
            charge = sum(self._entry(r, client) for r in unit.requests)
            turn += 2
            if queue:
                heapreplace(heap, (counter + charge, turn, client))
            else:
                heappop(heap)
            if heap:
                heapreplace(groups, (group_counter + charge, turn + 1, group))
            else:
                heappop(groups)

    def _entry(self, r: Request, client: Client) -> float:
        return self._cost(r.input_len, self._lengths.expected(r, client)) * self._prices[r.klass]
