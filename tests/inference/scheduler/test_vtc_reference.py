"""VTC against the paper's algorithm 2, written down as it is printed (OSDI'24, section 4.1), on random traces.

Where several clients have the least counter the paper takes any of them: ours must take one of these, and the reference follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.protocol import Request, ServiceClass
from tests.inference.scheduler.driving import arrive, pair, request, room

POOL, W_P, W_Q = 200, 1, 2
PRICE = {ServiceClass.BATTLE: 1, ServiceClass.EXAM: 4, ServiceClass.SIMULATION: 4}


@dataclass
class Algorithm2:
    """Lines 1 to 35. `queue` holds units (a pair is one) in order of arrival; `c` are the counters, `batch` what runs."""

    lift: bool = True
    queue: list[tuple[Request, ...]] = field(default_factory=list)
    c: dict[str, float] = field(default_factory=dict)
    batch: list[Request] = field(default_factory=list)
    last: str | None = None
    branches: set[str] = field(default_factory=set)

    def new_request(self, unit: tuple[Request, ...]) -> None:
        u = unit[0].client
        self.c.setdefault(u, 0)
        if self.lift and all(other[0].client != u for other in self.queue):
            if not self.queue:
                if self.last is not None:
                    self.branches.add("idle" if self.c[self.last] > self.c[u] else "level")
                    self.c[u] = max(self.c[u], self.c[self.last])
            else:
                least = min(self.c[other[0].client] for other in self.queue)
                self.branches.add("busy" if least > self.c[u] else "ahead")
                self.c[u] = max(self.c[u], least)
        self.queue.append(unit)

    def choices(self) -> list[tuple[Request, ...]]:
        """The earliest request of each client of least counter."""
        clients = {unit[0].client for unit in self.queue}
        least = min((self.c[u] for u in clients), default=0)
        firsts = {u: next(unit for unit in self.queue if unit[0].client == u) for u in clients if self.c[u] == least}
        return list(firsts.values())

    def admit(self, unit: tuple[Request, ...]) -> None:
        self.queue.remove(unit)
        self.batch += unit
        self.last = unit[0].client
        self.c[self.last] += sum(W_P * r.input_len * PRICE[r.klass] for r in unit)

    def decode(self) -> None:
        for r in self.batch:
            self.c[r.client] += W_Q * PRICE[r.klass]


def free(batch: list[Request]) -> int:
    return POOL - sum(r.input_len + r.max_output for r in batch)


_unit = st.tuples(
    st.sampled_from("abcd"),
    st.integers(1, 60),
    st.integers(1, 20),
    st.sampled_from(list(ServiceClass)),
    st.booleans(),
)
_trace = st.lists(st.tuples(st.lists(_unit, max_size=5), st.integers(0, 8)), min_size=1, max_size=10)


def follow(name: str, trace: list) -> set[str]:
    """Drive both; which branches of the lift raised a counter."""
    s, paper = room(name), Algorithm2(lift=name != "lcf")
    left: dict[str, int] = {}

    def agree() -> None:
        assert {u: (s.order.counters(u) or (0, 0))[0] for u in paper.c} == paper.c

    def step() -> None:
        while unit := s.peek(lambda rs: sum(r.input_len + r.max_output for r in rs) <= free(paper.batch), _none, 0.0):
            assert unit in paper.choices()
            for r in unit:
                s.admitted(r, r.input_len)
            paper.admit(unit)
            agree()
        waits = paper.choices()
        too_large = [u for u in waits if sum(r.input_len + r.max_output for r in u) > free(paper.batch)]
        assert too_large or not waits, "something fits and the engine would idle"
        for r in paper.batch:
            s.decoded(r, 1)
            left[r.id] -= 1
        paper.decode()
        agree()
        for r in [r for r in paper.batch if not left[r.id]]:
            paper.batch.remove(r)
            s.finished(r)

    for came, steps in trace:
        for client, n_in, n_out, klass, two in came:
            fields = {"input_len": n_in, "max_output": n_out, "klass": klass, "arrival": float(len(left))}
            unit = pair(client, **fields) if two else (request(client, **fields),)
            left |= {r.id: 1 + (n_out - 1) // (1 + i) for i, r in enumerate(unit)}
            arrive(s, *unit)
            paper.new_request(unit)
            agree()
        for _ in range(steps):
            step()
    for _ in range(10_000):
        if not paper.queue and not paper.batch:
            return paper.branches
        step()
    raise AssertionError("not done")


def _none(r: Request) -> int:
    return 0


@pytest.mark.parametrize("name", ["vtc", "lcf"])
@given(trace=_trace)
@settings(max_examples=150, deadline=None)
def test_every_admission_and_every_counter_is_that_of_algorithm_2(name: str, trace: list) -> None:
    follow(name, trace)


def test_both_branches_of_the_lift_are_taken() -> None:
    battle = ServiceClass.BATTLE
    long, short = ("a", 60, 20, battle, False), ("b", 1, 1, battle, False)
    assert follow("vtc", [([long], 3), ([short], 3)]) == {"idle"}
    assert follow("vtc", [([long] * 5, 3), ([short], 3)]) == {"busy"}
    assert follow("vtc", [([long] * 5, 1), ([short], 1), ([long], 0), ([short], 0)]) >= {"busy"}
