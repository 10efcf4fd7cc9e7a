"""Requests by the handful, an engine that is nothing but a token pool, and a watch that measures who got how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, count
from zlib import crc32

from inference.scheduler.counters import Client, Group
from inference.scheduler.protocol import OUTPUT_LEN, Request, Scheduler
from inference.scheduler.registry import make_scheduler
from inference.scheduler.room import WaitingRoom
from inference.scheduler.vtc import Vtc

_ids = count()


def request(client: str = "c", group: str = "", id: str = "", **fields: object) -> Request:
    return Request(id=id or f"r{next(_ids)}", client=client, group=group, **fields)  # type: ignore[arg-type]


def pair(client: str, group: str = "", turn: str | None = None, **fields: object) -> tuple[Request, Request]:
    turn = turn or f"turn{next(_ids)}"
    first, second = (request(client, group, pair=turn, pair_size=2, **fields) for _ in range(2))
    return first, second


def arrive(scheduler: Scheduler, *requests: Request, now: float = 0.0) -> None:
    for r in requests:
        assert scheduler.arrive(r, now).accepted


def admit(scheduler: Scheduler, now: float = 1.0, slots: int = 99) -> tuple[Request, ...]:
    unit = scheduler.peek(lambda rs: len(rs) <= slots, lambda r: 0, now)
    for r in unit:
        scheduler.admitted(r, r.input_len)
    return unit


def drain(scheduler: Scheduler, now: float = 1.0) -> list[str]:
    order = []
    while unit := admit(scheduler, now):
        order.append(unit[0].client)
    return order


def room(name: str, **options: object) -> WaitingRoom:
    """A policy behind bounds that nobody reaches, its `order` open to tests."""
    options = {"max_waiting_per_client": 10**6, "max_waiting": 10**6} | options
    scheduler = make_scheduler(name, **options)
    assert isinstance(scheduler, WaitingRoom)
    return scheduler


def cached(r: Request) -> int:
    """A prefix cache that knows some of everything: an arbitrary part of the input, the same whenever asked."""
    return crc32(r.id.encode()) % (r.input_len + 1)


@dataclass
class Watch:
    """Service and its differences, measured beside the policy.

    `worst` is the largest difference of service that two groups, or two clients of one group, had in any interval in which both
    had units queued throughout; `largest` the most that one of them was charged between one of its turns and its next.
    """

    order: Vtc
    service: dict[object, float] = field(default_factory=dict)
    since_turn: dict[object, float] = field(default_factory=dict)
    ranges: dict[tuple[object, object], tuple[float, float]] = field(default_factory=dict)
    worst: float = 0.0
    largest: float = 0.0

    def nodes(self, r: Request) -> tuple[Client, Group]:
        client = self.order._tree.of(r)
        return client, client.group

    def turn(self, r: Request) -> None:
        for node in self.nodes(r):
            self.since_turn[node] = 0.0

    def serve(self, r: Request, cost: float, charge: float | None = None) -> None:
        """`r` received `cost`; `charge` is what its counter rose by at that moment, where that differs."""
        for node in self.nodes(r):
            self.service[node] = self.service.get(node, 0.0) + cost
            self.since_turn[node] = self.since_turn.get(node, 0.0) + (cost if charge is None else charge)
            self.largest = max(self.largest, self.since_turn[node])

    def settle(self) -> None:
        """Look at all that are backlogged now; whoever is not begins a new interval."""
        groups = [g for g in self.order._tree._groups.values() if g.entry is not None]
        siblings: list[Sequence[object]] = [groups]
        siblings += [[c for c in g.clients.values() if c.entry is not None] for g in groups if len(g.active) > 1]
        before, self.ranges = self.ranges, {}
        for several in siblings:
            for a, b in combinations(several, 2):
                difference = self.service.get(a, 0.0) - self.service.get(b, 0.0)
                low, high = before.get((a, b), (difference, difference))
                self.ranges[a, b] = low, high = min(low, difference), max(high, difference)
                self.worst = max(self.worst, high - low)

    def prepaid(self) -> float:
        """The most that anybody had paid in advance at a time."""
        tree = self.order._tree
        return max([tree.active.most_prepaid, *(g.active.most_prepaid for g in tree._groups.values())])


@dataclass
class Running:
    request: Request
    length: int
    own: int  # tokens that it may come to hold and shares with nobody
    out: int = 0


class Pool:
    """Continuous batching over `tokens` of memory. A request starts only if all it may ever use is free: nothing is preempted."""

    def __init__(self, scheduler: WaitingRoom, tokens: int, cached_len: Callable[[Request], int] = lambda r: 0) -> None:
        assert isinstance(scheduler.order, Vtc)
        self.scheduler, self.tokens, self.cached_len = scheduler, tokens, cached_len
        self.order = scheduler.order
        self.watch = Watch(self.order)
        self.now = 0.0
        self.lengths: dict[str, int] = {}
        self.running: dict[str, Running] = {}
        self.preempted: dict[str, Running] = {}
        self.done: list[str] = []

    def offer(self, r: Request, length: int) -> None:
        """`r` arrives and will say `length` tokens. Its id is set: what a trace does must not depend on traces before it."""
        r.id = f"r{len(self.lengths)}"
        r.arrival = self.now
        r.meta[OUTPUT_LEN] = length
        self.lengths[r.id] = length
        assert self.scheduler.arrive(r, self.now).accepted
        self.watch.settle()

    def own(self, r: Request) -> int:
        return r.input_len - self._hit(r) + r.max_output

    def _hit(self, r: Request) -> int:
        return 0 if self.order._charge_cached else self.cached_len(r)

    def fits(self, requests: Iterable[Request]) -> bool:
        return sum(run.own for run in self.running.values()) + sum(map(self.own, requests)) <= self.tokens

    def admit(self) -> None:
        while unit := self.scheduler.peek(self.fits, self.cached_len, self.now):
            self.watch.settle()  # a held half may have become ready
            if not self.scheduler._units[unit[0].id].in_front:
                self.watch.turn(unit[0])
            for r in unit:
                self.start(r)

    def preempt(self, key: str) -> None:
        """A running request gives its memory back and goes on later."""
        run = self.preempted[key] = self.running.pop(key)
        self.scheduler.preempted(run.request)

    def start(self, r: Request) -> None:
        if r.id in self.preempted:
            run = self.running[r.id] = self.preempted.pop(r.id)
            self.scheduler.admitted(r, r.input_len + run.out)
            return
        price = self.order._prices[r.klass]
        expected = self.order._lengths.expected(r, self.order._tree.of(r))
        n_in = r.input_len - self._hit(r)
        self.running[r.id] = Running(r, self.lengths[r.id], self.own(r))
        self.scheduler.admitted(r, n_in)
        charge = self.order._cost(n_in, expected) * price
        self.watch.serve(r, self.order._cost(n_in, 0) * price, charge)
        self.watch.settle()

    def decode(self) -> None:
        for run in list(self.running.values()):
            self.token(run)
        self.watch.settle()

    def token(self, run: Running) -> None:
        r, account = run.request, self.order._accounts[run.request.id]
        before, run.out = run.out, run.out + 1
        cost = (self.order._cost(account.n_in, run.out) - self.order._cost(account.n_in, before)) * account.price
        charge = cost if run.out > account.expected else 0.0
        self.scheduler.decoded(r, 1)
        self.watch.serve(r, cost, charge)
        if run.out >= run.length:
            del self.running[r.id]
            self.scheduler.finished(r)
            self.done.append(r.id)

    def step(self, seconds: float = 0.02) -> None:
        self.admit()
        self.decode()
        self.now += seconds

    def run(self) -> None:
        """Until nothing waits or runs."""
        while self.running or self.scheduler.waiting():
            before = len(self.done), sum(run.out for run in self.running.values())
            self.step()
            after = len(self.done), sum(run.out for run in self.running.values())
            assert before != after or self.scheduler.wake_at(self.now) is not None, (
                "the engine idles although work waits"
            )
