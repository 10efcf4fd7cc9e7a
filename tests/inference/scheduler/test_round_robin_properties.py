"""Invariants of round-robin under any sequence of events, checked against a plain book-keeping model."""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference.scheduler.protocol import PAIR_HOLD_S, Removal, Request, ServiceClass
from inference.scheduler.registry import make_scheduler

PER_CLIENT, IN_ALL, SLOTS = 3, 8, 4
CLIENTS = [("a", "g"), ("b", "g"), ("c", "h"), ("job", "")]


def units(requests: list[Request]) -> int:
    """How many waiting units these requests are: a pair counts once."""
    return len({(r.client, r.klass, r.pair) if r.pair else r.id for r in requests})


class Machine(RuleBasedStateMachine):
    """The engine's side of the Protocol: every accepted request is waiting, running or gone, exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = make_scheduler("round_robin", max_waiting_per_client=PER_CLIENT, max_waiting=IN_ALL)
        self.ids = count()
        self.now = 0.0
        self.waiting: dict[str, Request] = {}
        self.running: dict[str, Request] = {}
        self.preempted: set[str] = set()
        self.cost: dict[str, float] = {}
        self.halves: dict[str, Request] = {}  # pairs of which one half has arrived

    def offer(self, r: Request) -> None:
        answer = self.scheduler.arrive(r, self.now)
        fresh = [w for w in self.waiting.values() if w.id not in self.preempted]
        mine = [w for w in fresh if w.client == r.client]
        if not answer.accepted:
            assert answer.retry_after_s > 0
            assert answer.shed == ()
            assert units(mine) >= PER_CLIENT or self.scheduler.waiting() >= IN_ALL
            return
        self.waiting[r.id] = r
        for victim in answer.shed:
            backlog = self.backlogs([*fresh, r])
            assert backlog[self.group(victim)] == max(backlog.values()), (
                "only the largest group is shed, the newcomer counted"
            )
        for victim in answer.shed:
            assert victim.id not in self.preempted, "what has streamed already is never shed"
            del self.waiting[victim.id]

    def group(self, r: Request) -> tuple[str, str]:
        return ("group", r.group) if r.group else ("client", r.client)

    def backlogs(self, requests: list[Request]) -> dict[tuple[str, str], int]:
        groups = {self.group(r) for r in requests}
        return {g: units([r for r in requests if self.group(r) == g]) for g in groups}

    @rule(who=st.sampled_from(CLIENTS), klass=st.sampled_from(list(ServiceClass)), order=st.none() | st.floats(0, 9))
    def single(self, who: tuple[str, str], klass: ServiceClass, order: float | None) -> None:
        self.offer(Request(f"r{next(self.ids)}", *who, klass, 10, 5, self.now, order))

    @rule(who=st.sampled_from(CLIENTS), both=st.booleans())
    def battle(self, who: tuple[str, str], both: bool) -> None:
        turn = f"t{next(self.ids)}"
        for i in range(2 if both else 1):
            r = Request(f"{turn}.{i}", *who, ServiceClass.BATTLE, 10, 5, self.now, pair=turn, pair_size=2)
            self.offer(r)
            if not both and r.id in self.waiting:
                self.halves[turn] = r

    @precondition(lambda self: self.halves)
    @rule()
    def other_half(self) -> None:
        turn, half = self.halves.popitem()
        self.offer(Request(f"{turn}.1", half.client, half.group, half.klass, 10, 5, self.now, pair=turn, pair_size=2))

    @rule(dt=st.sampled_from([0.0, 0.01, PAIR_HOLD_S, 1.0]))
    def time_passes(self, dt: float) -> None:
        self.now += dt

    @rule()
    def admit(self) -> None:
        free = SLOTS - len(self.running)
        unit = self.scheduler.peek(lambda rs: len(rs) <= free, lambda r: 0, self.now)
        if not unit:
            return
        assert len(unit) <= free
        assert len({r.id for r in unit}) == len(unit)
        assert len({(r.client, r.pair) for r in unit}) == 1, "only pairs go together"
        returned = self.preempted & set(self.waiting)
        assert not returned or unit[0].id in returned or unit[0].pair, "preempted requests stand in front"
        for r in unit:
            self.running[r.id] = self.waiting.pop(r.id)
            if r.id not in self.preempted:
                self.cost[r.client] = self.cost.get(r.client, 0) + r.input_len
            self.preempted.discard(r.id)
            self.scheduler.admitted(r, r.input_len)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), n=st.integers(1, 4))
    def decode(self, data: st.DataObject, n: int) -> None:
        r = self.running[data.draw(st.sampled_from(sorted(self.running)))]
        self.cost[r.client] += 2 * n
        self.scheduler.decoded(r, n)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def preempt(self, data: st.DataObject) -> None:
        r = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
        self.waiting[r.id] = r
        self.preempted.add(r.id)
        self.scheduler.preempted(r)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.scheduler.finished(self.running.pop(data.draw(st.sampled_from(sorted(self.running)))))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), reason=st.sampled_from(list(Removal)))
    def cancel(self, data: st.DataObject, reason: Removal) -> None:
        r = self.waiting.pop(data.draw(st.sampled_from(sorted(self.waiting))))
        self.preempted.discard(r.id)
        self.scheduler.removed(r, reason)
        self.scheduler.removed(r, reason)  # a second time is no error

    @invariant()
    def counts_agree(self) -> None:
        fresh = [r for r in self.waiting.values() if r.id not in self.preempted]
        assert self.scheduler.waiting() >= units(fresh)
        assert self.scheduler.waiting() <= len(self.waiting)
        for client, _ in CLIENTS:
            assert units([r for r in fresh if r.client == client]) <= PER_CLIENT + SLOTS
        assert self.scheduler.service() == self.cost

    @invariant()
    def everybody_has_a_place(self) -> None:
        places = {r.id: self.scheduler.position(r) for r in self.waiting.values()}
        assert all(1 <= place <= self.scheduler.waiting() for place in places.values())

    @invariant()
    def work_conserving(self) -> None:
        """With room for all, something starts unless nothing waits or all that waits is a half within its hold."""
        unit = self.scheduler.peek(lambda rs: True, lambda r: 0, self.now)
        if not unit and self.waiting:
            wake = self.scheduler.wake_at(self.now)
            assert wake is not None
            assert self.now < wake <= self.now + PAIR_HOLD_S

    def teardown(self) -> None:
        """Whatever happened, what waits can be drained, each once, in the order that `position` told."""
        self.now += PAIR_HOLD_S
        self.scheduler.peek(lambda rs: True, lambda r: 0, self.now)  # lets the held halves go
        place = 0
        while unit := self.scheduler.peek(lambda rs: True, lambda r: 0, self.now):
            place += 1
            assert {self.scheduler.position(r) for r in unit} == {1}
            for r in unit:
                self.scheduler.admitted(r, 0)
                del self.waiting[r.id]
        assert self.waiting == {}
        assert self.scheduler.waiting() == 0
        assert self.scheduler.wake_at(self.now) is None


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)

_arrivals = st.lists(
    st.tuples(st.sampled_from(["g1", "g2", "g3"]), st.sampled_from(["a", "b"]), st.sampled_from(list(ServiceClass))),
    min_size=1,
    max_size=40,
)


@given(_arrivals)
@settings(max_examples=200, deadline=None)
def test_positions_are_the_order_of_admission(arrivals: list[tuple[str, str, ServiceClass]]) -> None:
    scheduler = make_scheduler("round_robin", max_waiting_per_client=99)
    requests = [Request(f"r{i}", g + c, g, k, arrival=float(i)) for i, (g, c, k) in enumerate(arrivals)]
    for r in requests:
        assert scheduler.arrive(r, 0.0).accepted
    told = sorted(requests, key=scheduler.position)
    came = []
    while unit := scheduler.peek(lambda rs: True, lambda r: 0, 0.0):
        came += unit
        scheduler.admitted(unit[0], 0)
    assert came == told


@given(_arrivals, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_between_two_turns_of_a_group_each_other_group_of_its_class_has_one(
    arrivals: list[tuple[str, str, ServiceClass]], late: int
) -> None:
    """The fairness bound, also for requests that arrive in between: group `g1` always waits, nobody overtakes it twice."""
    scheduler = make_scheduler("round_robin", max_waiting_per_client=99)
    for i in range(len(arrivals) + 1):
        scheduler.arrive(Request(f"own{i}", "own", "g1", arrival=float(i)), 0.0)
    since: dict[str, int] = {}
    for i, (group, client, _) in enumerate(arrivals):
        if group != "g1":
            scheduler.arrive(Request(f"r{i}", group + client, group, arrival=float(i)), 0.0)
        if i % late == 0:
            continue
        (r,) = scheduler.peek(lambda rs: True, lambda r: 0, 0.0)
        scheduler.admitted(r, 0)
        since = {} if r.group == "g1" else {**since, r.group: since.get(r.group, 0) + 1}
        assert all(times <= 1 for times in since.values())


@given(st.integers(2, 6), st.integers(1, 6))
def test_nothing_is_skipped_when_the_head_does_not_fit(large: int, free: int) -> None:
    scheduler = make_scheduler("round_robin")
    first = Request("large", "a", arrival=0.0, input_len=large)
    scheduler.arrive(first, 0.0)
    scheduler.arrive(Request("small", "b", arrival=1.0, input_len=1), 0.0)
    unit = scheduler.peek(lambda rs: sum(r.input_len for r in rs) <= free, lambda r: 0, 0.0)
    assert unit == ((first,) if large <= free else ())
