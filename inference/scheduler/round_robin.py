"""Round-robin over clients nested in groups: the first policy behind `Scheduler`.

A turn goes to a service class (4 : 1 : 1), to the next group in it (an IP prefix) and to the next client of the group, so
a visitor with many cookies shares what one visitor gets. Between two turns of a client that always waits, each other group
of its class has at most one. If the head does not fit, nothing is skipped: a large request is never starved by small ones.
Service is counted as input + 2 x output tokens (all input tokens, cached or not, as in VTC, section 3) and decides nothing here.
Tests: tests/inference/scheduler/test_round_robin.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from heapq import heappop, heappush

from inference.scheduler.backlog import Backlog
from inference.scheduler.pace import Pace
from inference.scheduler.protocol import PAIR_HOLD_S, Arrival, CachedLen, Fits, Removal, Request, ServiceClass
from inference.scheduler.rotation import GroupKey, Rotation, Unit, group_key

WEIGHTS: Mapping[ServiceClass, float] = {
    ServiceClass.BATTLE: 4.0,
    ServiceClass.EXAM: 1.0,
    ServiceClass.SIMULATION: 1.0,
}
OUTPUT_COST = 2.0
RETRY_MIN_S, RETRY_MAX_S = 1.0, 60.0

PairKey = tuple[str, GroupKey, ServiceClass, str]


def _pair_key(r: Request) -> PairKey | None:
    return None if r.pair is None or r.pair_size < 2 else (r.client, group_key(r), r.klass, r.pair)


class RoundRobin:
    """See the module. `max_counters` bounds the service counters kept, the least recently served client going first."""

    def __init__(
        self,
        max_waiting_per_client: int = 8,
        max_waiting: int = 512,
        pair_hold_s: float = PAIR_HOLD_S,
        weights: Mapping[ServiceClass, float] = WEIGHTS,
        max_counters: int = 10_000,
    ) -> None:
        if min(max_waiting_per_client, max_waiting, max_counters, *weights.values()) <= 0 or pair_hold_s < 0:
            raise ValueError(
                "waiting bounds, max_counters and class weights must be positive, pair_hold_s not negative"
            )
        self.max_waiting_per_client, self.max_waiting = max_waiting_per_client, max_waiting
        self.pair_hold_s, self.max_counters = pair_hold_s, max_counters
        self._rotation = Rotation(dict(weights))
        self._front: list[tuple[int, int, Unit]] = []  # heap by admission number
        self._holds: list[tuple[float, int, Unit]] = []  # heap of half pairs by deadline
        self._units: dict[str, Unit] = {}  # waiting request id -> unit
        self._pairs: dict[PairKey, Unit] = {}
        self._alone: set[PairKey] = set()  # a half runs without the other
        self._running: dict[str, int] = {}  # request id -> admission number
        self._preempted: dict[str, int] = {}
        self._backlog = Backlog()
        self._service: OrderedDict[str, float] = OrderedDict()
        self._pace = Pace()
        self._positions: dict[str, int] | None = None
        self._seq = 0
        self._now = 0.0

    # -- arriving --------------------------------------------------------------------------------------------------

    def arrive(self, r: Request, now: float) -> Arrival:
        """See `Scheduler.arrive`. Raises ValueError for an id that is already here."""
        if r.id in self._units or r.id in self._running:
            raise ValueError(f"request {r.id!r} is already here")
        self._now, self._positions = now, None
        key = _pair_key(r)
        if key is not None and key in self._pairs:
            self._join(self._pairs[key], r)
            return Arrival(True)
        if key in self._alone:  # the pair was accepted as one: no bound may tear it now
            self._enqueue(r, key, now)
            return Arrival(True)
        if self._backlog.of_client(r.client) >= self.max_waiting_per_client:
            return self._refuse(f"{self.max_waiting_per_client} requests of this client are waiting already")
        shed: tuple[Request, ...] = ()
        if self.waiting() >= self.max_waiting:
            victim = self._backlog.victim(r)
            if victim is None:
                return self._refuse(f"the queue is full: {self.max_waiting} requests are waiting")
            shed = tuple(victim.requests)
            for request in shed:
                self.removed(request, Removal.SHED)
        self._enqueue(r, key, now)
        return Arrival(True, shed=shed)

    def _refuse(self, reason: str) -> Arrival:
        wait = min(max(self._pace.eta_s(self.waiting()), RETRY_MIN_S), RETRY_MAX_S)
        return Arrival(False, reason, wait)

    def _enqueue(self, r: Request, key: PairKey | None, now: float) -> None:
        unit = Unit([r], (r.arrival if r.order is None else r.order, self._next_seq()), size=max(1, r.pair_size))
        self._units[r.id] = unit
        self._backlog.add(unit)
        if key is None or key in self._alone:  # nothing to wait for
            self._rotation.put(unit)
            return
        self._pairs[key] = unit
        unit.held_until = now + self.pair_hold_s
        heappush(self._holds, (unit.held_until, self._next_seq(), unit))

    def _join(self, unit: Unit, r: Request) -> None:
        """The other half of a waiting pair has come; the pair counts as one, so no bound applies."""
        unit.requests.append(r)
        self._units[r.id] = unit
        if unit.held_until is not None and len(unit.requests) >= unit.size:
            self._release(unit)

    def _release(self, unit: Unit) -> None:
        unit.held_until = None
        self._positions = None
        self._rotation.put(unit)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    # -- admitting -------------------------------------------------------------------------------------------------

    def peek(self, fits: Fits, cached_len: CachedLen, now: float) -> tuple[Request, ...]:
        """See `Scheduler.peek`. A pair that does not fit even in an idle engine goes one by one."""
        self._now = now
        self._expire_holds(now)
        unit = self._head()
        if unit is None:
            return ()
        together = tuple(unit.requests)
        if fits(together):
            return together
        if len(together) > 1 and not self._running and fits(together[:1]):
            return together[:1]
        return ()

    def _head(self) -> Unit | None:
        while self._front and not self._front[0][2].requests:
            heappop(self._front)
        if self._front:
            return self._front[0][2]
        lane = self._rotation.next_lane()
        return None if lane is None else lane.head()

    def _expire_holds(self, now: float) -> None:
        """Let go the half pairs whose time is over; units that were completed or left are stale entries."""
        while self._holds and (self._holds[0][2].held_until is None or self._holds[0][0] <= now):
            unit = heappop(self._holds)[2]
            if unit.held_until is not None:
                self._release(unit)

    def wake_at(self, now: float) -> float | None:
        """See `Scheduler.wake_at`."""
        while self._holds and self._holds[0][2].held_until is None:
            heappop(self._holds)
        return self._holds[0][0] if self._holds else None

    def admitted(self, r: Request, uncached: int) -> None:
        """See `Scheduler.admitted`. Raises KeyError for a request that does not wait."""
        unit = self._units.pop(r.id)
        self._positions = None
        number = self._preempted.pop(r.id, None)
        if number is None:
            number = self._next_seq()
            self._charge(r.client, r.input_len)
        self._running[r.id] = number
        if unit.in_front:
            unit.requests.clear()
            return
        self._use_turn(unit, r, number)

    def _use_turn(self, unit: Unit, r: Request, number: int) -> None:
        """`unit`'s turn is spent by its request `r`; what remains of it stands in front until it is admitted too."""
        if unit.held_until is not None:
            self._release(unit)
        self._rotation.advance(unit)
        self._backlog.remove(unit)
        self._pace.admission(self._now)
        key = _pair_key(r)
        if key is not None:
            self._pairs.pop(key, None)
            if len(unit.requests) < r.pair_size:
                self._alone.add(key)
        for other in unit.requests:
            if other.id != r.id:
                self._to_front(other, number)
        unit.requests.clear()

    def _to_front(self, r: Request, number: int) -> None:
        unit = Unit([r], (0.0, number), in_front=True)
        self._units[r.id] = unit
        heappush(self._front, (number, self._next_seq(), unit))

    # -- running and leaving ---------------------------------------------------------------------------------------

    def decoded(self, r: Request, n: int) -> None:
        """See `Scheduler.decoded`."""
        self._charge(r.client, OUTPUT_COST * n)

    def preempted(self, r: Request) -> None:
        """See `Scheduler.preempted`: it goes in front of everybody, for it has had its turn. Raises KeyError if not running."""
        number = self._running.pop(r.id)
        self._preempted[r.id] = number
        self._positions = None
        self._to_front(r, number)

    def finished(self, r: Request) -> None:
        """See `Scheduler.finished`. A request that is not here is no error."""
        self._running.pop(r.id, None)
        self._forget_alone(r)

    def _forget_alone(self, r: Request) -> None:
        key = _pair_key(r)
        if key is not None:
            self._alone.discard(key)

    def removed(self, r: Request, reason: Removal) -> None:
        """See `Scheduler.removed`. A request that does not wait (any more) is no error: what was shed has left already."""
        unit = self._units.pop(r.id, None)
        if unit is None:
            return
        self._positions = None
        if self._preempted.pop(r.id, None) is not None:
            self._forget_alone(r)
        if len(unit.requests) > 1:
            self._shrink(unit, r)
            return
        if not unit.in_front:
            if unit.held_until is None:
                self._rotation.take(unit)
            self._backlog.remove(unit)
            key = _pair_key(r)
            if key is not None:
                self._pairs.pop(key, None)
        unit.held_until = None  # makes its entry among the holds stale
        unit.requests.clear()

    def _shrink(self, unit: Unit, r: Request) -> None:
        """A pair loses a half while it waits: the other goes on without waiting for a new one."""
        unit.requests[:] = [request for request in unit.requests if request.id != r.id]
        unit.size -= 1
        if unit.held_until is not None and len(unit.requests) >= unit.size:
            self._release(unit)

    # -- figures ---------------------------------------------------------------------------------------------------

    def _charge(self, client: str, cost: float) -> None:
        self._service[client] = self._service.get(client, 0.0) + cost
        self._service.move_to_end(client)
        if len(self._service) > self.max_counters:
            self._service.popitem(last=False)

    def add_service(self, client: str, n: float) -> None:
        """See `Scheduler.add_service`."""
        self._charge(client, n)

    def position(self, r: Request) -> int:
        """See `Scheduler.position`. All positions are computed at once and kept until the queue changes."""
        if r.id not in self._units:
            raise KeyError(r.id)
        if self._positions is None:
            front = [entry[2] for entry in sorted(self._front, key=lambda entry: entry[:2]) if entry[2].requests]
            queue = [*front, *self._rotation.order()]
            self._positions = {request.id: i for i, unit in enumerate(queue, 1) for request in unit.requests}
        return self._positions.get(r.id, self.waiting())  # a held half is at the end

    def eta_s(self, r: Request) -> float:
        """See `Scheduler.eta_s`."""
        return self._pace.eta_s(self.position(r))

    def waiting(self) -> int:
        """See `Scheduler.waiting`."""
        return len(self._backlog) + sum(1 for entry in self._front if entry[2].requests)

    def service(self) -> dict[str, float]:
        """See `Scheduler.service`."""
        return dict(self._service)
