"""The waiting room: everything that all policies share, so that a policy only says who is next.

Bounds per client and in all, shedding, pairs that start together, held halves, preempted requests in front, early abort,
places in the queue, and what each client has received. The policy is an `Order` (order.py).
Tests: tests/inference/scheduler/test_room_properties.py (every policy), test_round_robin.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from inference.scheduler.backlog import Backlog
from inference.scheduler.early_abort import EarlyAbort
from inference.scheduler.figures import Figures
from inference.scheduler.front import Front
from inference.scheduler.halves import Halves
from inference.scheduler.ledger import OUTPUT_COST, Ledger, client_figures
from inference.scheduler.order import Order, View
from inference.scheduler.pace import Pace
from inference.scheduler.protocol import PAIR_HOLD_S, Arrival, CachedLen, ClientFigures, Fits, Removal, Request
from inference.scheduler.unit import Unit

RETRY_MIN_S, RETRY_MAX_S = 1.0, 60.0


class WaitingRoom:
    """A `Scheduler`: the given order inside the common frame.

    `max_waiting_per_client` and `max_waiting` bound waiting units (a pair is one), `max_counters` the clients that are
    remembered. `slo_s` is the first-token objective of early abort (seconds; None = off), `slo_margin_s` what a first token
    takes after admission. `policy` is the name that the registry gave it.
    """

    policy = ""

    def __init__(
        self,
        order: Order,
        max_waiting_per_client: int = 8,
        max_waiting: int = 512,
        pair_hold_s: float = PAIR_HOLD_S,
        max_counters: int = 10_000,
        slo_s: float | None = None,
        slo_margin_s: float = 0.5,
    ) -> None:
        if min(max_waiting_per_client, max_waiting, max_counters) <= 0 or pair_hold_s < 0:
            raise ValueError("waiting bounds and max_counters must be positive, pair_hold_s not negative")
        self.max_waiting_per_client, self.max_waiting = max_waiting_per_client, max_waiting
        self.order = order
        order.max_counters = max_counters
        self._front = Front()
        self._halves = Halves(pair_hold_s)
        self._abort = None if slo_s is None else EarlyAbort(slo_s, slo_margin_s)
        self._units: dict[str, Unit] = {}  # waiting request id -> unit
        self._running: dict[str, int] = {}  # request id -> admission number
        self._preempted: dict[str, int] = {}
        self._adapters: Counter[str] = Counter()  # of running requests
        self._backlog = Backlog()
        self._ledger = Ledger(max_counters)
        self._pace = Pace()
        self._figures = Figures()
        self._positions: dict[str, int] | None = None
        self._seq = 0
        self._now = 0.0

    # -- arriving --------------------------------------------------------------------------------------------------

    def arrive(self, r: Request, now: float) -> Arrival:
        """See `Scheduler.arrive`. Raises ValueError for an id that is already here."""
        if r.id in self._units or r.id in self._running:
            raise ValueError(f"request {r.id!r} is already here")
        self._now, self._positions = now, None
        partner = self._halves.partner(r)
        if partner is not None:
            self._join(partner, r)
            return Arrival(True)
        if self._halves.torn(r):  # the pair was accepted as one: no bound may tear it now
            self._enqueue(r, now)
            return Arrival(True)
        if self._backlog.of_client(r.client) >= self.max_waiting_per_client:
            return self._refuse(f"{self.max_waiting_per_client} requests of this client are waiting already")
        refusal = self.order.refuse(r, now)
        if refusal is not None:
            return self._refuse(*refusal)
        shed: tuple[Request, ...] = ()
        if self.waiting() >= self.max_waiting:
            victim = self._backlog.victim(r)
            if victim is None:
                return self._refuse(f"the queue is full: {self.max_waiting} requests are waiting")
            shed = self._drop(victim, Removal.SHED)
            self._figures.shed += 1
        self._enqueue(r, now)
        return Arrival(True, shed=shed)

    def _refuse(self, reason: str, wait_s: float | None = None) -> Arrival:
        self._figures.refused += 1
        pace = min(max(self._pace.eta_s(self.waiting()), RETRY_MIN_S), RETRY_MAX_S)
        return Arrival(False, reason, pace if wait_s is None else wait_s)

    def _enqueue(self, r: Request, now: float) -> None:
        number = self._next_seq()
        key = (r.arrival if r.order is None else r.order, number)
        unit = Unit([r], key, max(1, r.pair_size), now, number)
        self._units[r.id] = unit
        self._backlog.add(unit)
        if self._abort is not None:
            self._abort.arrived(unit)
        if not self._halves.hold(unit, now):
            self.order.put(unit)

    def _join(self, unit: Unit, r: Request) -> None:
        """The other half of a waiting pair has come; the pair counts as one, so no bound applies."""
        unit.requests.append(r)
        self._units[r.id] = unit
        if unit.held_until is not None and len(unit.requests) >= unit.size:
            self._release(unit)

    def _release(self, unit: Unit) -> None:
        unit.held_until = None
        self._positions = None
        self.order.put(unit)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    # -- admitting -------------------------------------------------------------------------------------------------

    def peek(self, fits: Fits, cached_len: CachedLen, now: float) -> tuple[Request, ...]:
        """See `Scheduler.peek`. A pair that does not fit even in an idle engine goes one by one."""
        self._now = now
        for unit in self._halves.expired(now):
            self._release(unit)
        if self._abort is not None:
            self.order.newest_first = self._abort.newest_first
        head = self._front.first() or self.order.head(View(fits, cached_len, now, self._adapters))
        if head is None:
            return ()
        together = tuple(head.requests)
        if fits(together):
            return together
        if len(together) > 1 and not self._running and fits(together[:1]):
            return together[:1]
        return ()

    def wake_at(self, now: float) -> float | None:
        """See `Scheduler.wake_at`."""
        hold = self._halves.next_deadline()
        late = None if self._abort is None else self._abort.next_deadline()
        return min((t for t in (hold, late) if t is not None), default=None)

    def admitted(self, r: Request, uncached: int) -> None:
        """See `Scheduler.admitted`. Raises KeyError for a request that does not wait."""
        unit = self._units.pop(r.id)
        self._positions = None
        number = self._preempted.pop(r.id, None)
        if number is None:
            number = self._next_seq()
            self._ledger.serve(r.client, r.input_len)
            self.order.admitted(r, uncached)
        self._running[r.id] = number
        if r.adapter is not None:
            self._adapters[r.adapter] += 1
        if unit.in_front:
            self._front.leave(unit)
            return
        self._use_turn(unit, r, number)

    def _use_turn(self, unit: Unit, r: Request, number: int) -> None:
        """`unit`'s turn is spent by its request `r`; what remains of it stands in front until it is admitted too."""
        if unit.held_until is not None:
            self._release(unit)
        self.order.start(unit)
        self._backlog.remove(unit)
        self._pace.admission(self._now)
        self._figures.admissions += 1
        self._figures.waits.observe(self._now - unit.arrived)
        self._ledger.admit(r.client, r.group, self._now - unit.arrived)
        if self._abort is not None:
            self._abort.admitted(self._now)
        self._halves.admitted(unit, r)
        for other in unit.requests:
            if other.id != r.id:
                self._units[other.id] = self._front.put(other, number, unit.arrived)
        unit.requests.clear()

    # -- running and leaving ---------------------------------------------------------------------------------------

    def decoded(self, r: Request, n: int) -> None:
        """See `Scheduler.decoded`."""
        self._ledger.serve(r.client, OUTPUT_COST * n)
        self.order.decoded(r, n)

    def preempted(self, r: Request) -> None:
        """See `Scheduler.preempted`: it goes in front of everybody, for it has had its turn. Raises KeyError if not running."""
        number = self._running.pop(r.id)
        self._adapter_freed(r)
        self._preempted[r.id] = number
        self._positions = None
        self._units[r.id] = self._front.put(r, number, self._now)

    def finished(self, r: Request) -> None:
        """See `Scheduler.finished`. A request that is not here is no error."""
        if self._running.pop(r.id, None) is not None:
            self._adapter_freed(r)
            self.order.ended(r)
        self._halves.ended(r)

    def _adapter_freed(self, r: Request) -> None:
        if r.adapter is not None:
            self._adapters[r.adapter] -= 1
            if not self._adapters[r.adapter]:
                del self._adapters[r.adapter]

    def removed(self, r: Request, reason: Removal) -> None:
        """See `Scheduler.removed`. A request that does not wait (any more) is no error: what was shed has left already."""
        unit = self._units.pop(r.id, None)
        if unit is None:
            return
        self._positions = None
        if self._preempted.pop(r.id, None) is not None:
            self.order.ended(r)
            self._halves.ended(r)
        if len(unit.requests) > 1:
            self._shrink(unit, r)
            return
        if unit.in_front:
            self._front.leave(unit)
            return
        if unit.held_until is None:
            self.order.take(unit)
        self._backlog.remove(unit)
        self._halves.gone(r)
        unit.held_until = None  # makes its entry among the holds stale
        unit.requests.clear()

    def _shrink(self, unit: Unit, r: Request) -> None:
        """A pair loses a half while it waits: the other goes on without waiting for a new one."""
        unit.requests[:] = [request for request in unit.requests if request.id != r.id]
        unit.size -= 1
        if unit.held_until is not None and len(unit.requests) >= unit.size:
            self._release(unit)

    def _drop(self, unit: Unit, reason: Removal) -> tuple[Request, ...]:
        requests = tuple(unit.requests)
        for request in requests:
            self.removed(request, reason)
        return requests

    def expired(self, now: float) -> tuple[Request, ...]:
        """See `Scheduler.expired`."""
        overdue = [] if self._abort is None else self._abort.overdue(now)
        self._figures.expired += len(overdue)
        return tuple(r for unit in overdue for r in self._drop(unit, Removal.ABORTED))

    # -- figures ---------------------------------------------------------------------------------------------------

    def add_service(self, client: str, n: float) -> None:
        """See `Scheduler.add_service`."""
        self._ledger.serve(client, n)
        self.order.add_service(client, n)

    def _line(self, most: int | None = None) -> Iterator[Unit]:
        return chain(self._front.line(), self.order.line(most))

    def upcoming(self, n: int) -> list[Request]:
        """See `Scheduler.upcoming`."""
        return list(islice((r for unit in self._line(n) for r in unit.requests), n))

    def position(self, r: Request) -> int:
        """See `Scheduler.position`. All positions are computed at once and kept until the queue changes."""
        if r.id not in self._units:
            raise KeyError(r.id)
        if self._positions is None:
            self._positions = {request.id: i for i, unit in enumerate(self._line(), 1) for request in unit.requests}
        return self._positions.get(r.id, self.waiting())  # a held half is at the end

    def eta_s(self, r: Request) -> float:
        """See `Scheduler.eta_s`."""
        return self._pace.eta_s(self.position(r))

    def waiting(self) -> int:
        """See `Scheduler.waiting`."""
        return len(self._backlog) + len(self._front)

    def service(self) -> dict[str, float]:
        """See `Scheduler.service`."""
        return self._ledger.service()

    def clients(self, limit: int) -> list[ClientFigures]:
        """See `Scheduler.clients`."""
        return client_figures(self._ledger, self._backlog, self.order.counters, limit)

    def figures(self) -> Figures:
        """See `Scheduler.figures`."""
        f = self._figures
        f.waiting, f.active, f.spread = self.waiting(), self._backlog.active, self.order.spread()
        return f
