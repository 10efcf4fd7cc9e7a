"""Every policy in the common room: bounds, pairs, holds, shedding, preemption, early abort, work conservation, no skipping.

Any sequence of events, checked against a plain book-keeping model; the policies differ only in who is next.
"""

from __future__ import annotations

from itertools import count
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inference.scheduler.protocol import OUTPUT_LEN, PAIR_HOLD_S, Removal, Request, ServiceClass
from inference.scheduler.registry import POLICIES, make_scheduler
from tests.inference.scheduler.driving import pair, request, room

PER_CLIENT, IN_ALL, SLOTS, SLO = 3, 8, 4, 6.0
OPTIONS: dict[str, dict[str, object]] = {"rpm": {"per_minute": 10**6}}
# Nothing cached, these tell the order exactly; the others' depends on the cache, or on who arrives or decodes meanwhile.
EXACT = sorted(set(POLICIES) - {"dlpm", "vtc_locality", "vtc_locality_credibility"})
KNOWN = {OUTPUT_LEN: 5}
CLIENTS = [("a", "g"), ("b", "g"), ("c", "h"), ("job", "")]


def units(requests: list[Request]) -> int:
    """How many waiting units these requests are: a pair counts once."""
    return len({(r.client, r.klass, r.pair) if r.pair else r.id for r in requests})


class Machine(RuleBasedStateMachine):
    """The engine's side of the Protocol: every accepted request is waiting, running or gone, exactly once."""

    def __init__(self, name: str, slo_s: float | None) -> None:
        super().__init__()
        self.exact, self.slo_s = name in EXACT and slo_s is None, slo_s
        bounds = {"max_waiting_per_client": PER_CLIENT, "max_waiting": IN_ALL, "slo_s": slo_s}
        self.scheduler = make_scheduler(name, **bounds, **OPTIONS.get(name, {}))
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
            assert backlog[self.group(victim)] == max(backlog.values()), "of the largest group, the newcomer counted"
            beside = [w for w in (*fresh, r) if self.group(w) == self.group(victim)]
            of = {w.client: units([x for x in beside if x.client == w.client]) for w in beside}
            assert of[victim.client] == max(of.values()), "of its largest client"
        for victim in answer.shed:
            assert victim.id not in self.preempted, "what has streamed already is never shed"
            del self.waiting[victim.id]

    def cached(self, r: Request) -> int:
        return 0 if self.exact else crc32(r.id.encode()) % 10

    def group(self, r: Request) -> tuple[str, str]:
        return ("group", r.group) if r.group else ("client", r.client)

    def backlogs(self, requests: list[Request]) -> dict[tuple[str, str], int]:
        groups = {self.group(r) for r in requests}
        return {g: units([r for r in requests if self.group(r) == g]) for g in groups}

    @rule(who=st.sampled_from(CLIENTS), klass=st.sampled_from(list(ServiceClass)), order=st.none() | st.floats(0, 9))
    def single(self, who: tuple[str, str], klass: ServiceClass, order: float | None) -> None:
        self.offer(Request(f"r{next(self.ids)}", *who, klass, 10, 5, self.now, order, meta=dict(KNOWN)))

    @rule(who=st.sampled_from(CLIENTS), both=st.booleans())
    def battle(self, who: tuple[str, str], both: bool) -> None:
        turn = f"t{next(self.ids)}"
        for i in range(2 if both else 1):
            r = self.half(f"{turn}.{i}", who, turn)
            self.offer(r)
            if not both and r.id in self.waiting:
                self.halves[turn] = r

    @precondition(lambda self: self.halves)
    @rule()
    def other_half(self) -> None:
        turn, half = self.halves.popitem()
        self.offer(self.half(f"{turn}.1", (half.client, half.group), turn))

    def half(self, id: str, who: tuple[str, str], turn: str) -> Request:
        battle = ServiceClass.BATTLE
        return Request(id, *who, battle, 10, 5, self.now, pair=turn, pair_size=2, meta=dict(KNOWN))

    @rule(dt=st.sampled_from([0.0, 0.01, PAIR_HOLD_S, 1.0]))
    def time_passes(self, dt: float) -> None:
        self.now += dt

    @rule()
    def abort(self) -> None:
        """The engine asks who expired in each step; twice at one moment tells nobody twice."""
        late = self.scheduler.expired(self.now)
        assert self.scheduler.expired(self.now) == ()
        assert self.slo_s is not None or late == ()
        for r in late:
            assert r.id not in self.preempted, "what has streamed already is never dropped"
            del self.waiting[r.id]
        left = {(r.client, r.pair) for r in self.waiting.values() if r.pair and r.id not in self.preempted}
        assert not left & {(r.client, r.pair) for r in late}, "a pair is dropped whole"

    @rule()
    def admit(self) -> None:
        free = SLOTS - len(self.running)
        unit = self.scheduler.peek(lambda rs: len(rs) <= free, self.cached, self.now)
        if not unit:
            return
        assert len(unit) <= free
        others = self.scheduler.peek(lambda rs: rs[0].id != unit[0].id, self.cached, self.now)
        assert others == (), "what does not fit is not skipped"
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
        assert self.scheduler.figures().waiting == self.scheduler.waiting()

    @invariant()
    def everybody_has_a_place(self) -> None:
        places = {r.id: self.scheduler.position(r) for r in self.waiting.values()}
        assert all(1 <= place <= self.scheduler.waiting() for place in places.values())

    @invariant()
    def work_conserving(self) -> None:
        """With room for all, something starts unless nothing waits or all that waits is a half within its hold."""
        unit = self.scheduler.peek(lambda rs: True, self.cached, self.now)
        if not unit and self.waiting:
            wake = self.scheduler.wake_at(self.now)
            assert wake is not None
            assert wake <= self.now + PAIR_HOLD_S
            assert self.now < wake or self.slo_s is not None

    def teardown(self) -> None:
        """Whatever happened, what waits can be drained, each once, in the order that `position` told."""
        self.now += PAIR_HOLD_S
        self.scheduler.peek(lambda rs: True, self.cached, self.now)  # lets the held halves go
        place = 0
        while unit := self.scheduler.peek(lambda rs: True, self.cached, self.now):
            place += 1
            # Told places are kept until the queue changes; what was decoded or given back meanwhile is not in the first.
            assert not self.exact or place == 1 or {self.scheduler.position(r) for r in unit} == {1}
            for r in unit:
                self.scheduler.admitted(r, 0)
                del self.waiting[r.id]
        assert self.waiting == {}
        assert self.scheduler.waiting() == 0
        assert self.scheduler.wake_at(self.now) is None


@pytest.mark.parametrize("slo_s", [None, SLO])
@pytest.mark.parametrize("name", sorted(POLICIES))
def test_any_sequence_of_events(name: str, slo_s: float | None) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Machine(name, slo_s), settings=settings(max_examples=15, stateful_step_count=40, deadline=None)
    )


_arrivals = st.lists(
    st.tuples(st.sampled_from(CLIENTS), st.sampled_from(list(ServiceClass)), st.integers(1, 40), st.booleans()),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("name", EXACT)
@given(arrivals=_arrivals)
@settings(max_examples=30, deadline=None)
def test_positions_are_the_order_of_admission(name: str, arrivals: list) -> None:
    """Told before anything starts; for VTC if nothing is decoded meanwhile."""
    scheduler = room(name, **OPTIONS.get(name, {}))
    for i, (who, klass, n_in, two) in enumerate(arrivals):
        fields = {"klass": klass, "input_len": n_in, "arrival": float(i), "meta": dict(KNOWN)}
        for r in pair(*who, **fields) if two else [request(*who, **fields)]:
            assert scheduler.arrive(r, float(i)).accepted
    told = scheduler.upcoming(10**6)
    places = [scheduler.position(r) for r in told]
    for n in (1, 3, 7):
        assert scheduler.upcoming(n) == told[:n]
    assert places == sorted(places) and set(places) == set(range(1, scheduler.waiting() + 1))
    came: list[Request] = []
    while unit := scheduler.peek(lambda rs: True, lambda r: 0, 99.0):
        came += unit
        for r in unit:
            scheduler.admitted(r, r.input_len)
    assert came == told
