"""VTC + slack locality: fair to within a slack, and inside the slack whoever finds most in the prefix cache goes first.

Ours, made of VTC (OSDI'24) and the longest-prefix-match of SGLang (NeurIPS'24, section 3) with the
adapter clustering of S-LoRA (MLSys'24, section 4.3). Kept of VTC: counters, lift, work conservation, no skipping. Differs:
counters are charged the input that was NOT cached (+ 2 x output); among the clients (and groups) whose counter is within
`slack` of the least, and still is when its input has been charged, the unit with the longest cached prefix is admitted; ties
go to the prefix that was admitted last, then to the lower counter, then to the older request.
Prefixes are served in runs: the one that was admitted last goes on as long as the slack allows, another begins only where
`reserve` of the slack is left. A client at the edge of the slack would otherwise keep its prefix in use by single requests,
and in a small cache nothing else could be loaded while the batch runs empty.
Clustering is the same rule: once `max_adapters` distinct adapters run, units whose adapters run already come first.
So is courtesy. Inside the slack whoever has nothing else here than one waiting unit goes before all that have more: who asks
one thing at a time waits for the next free place, however warm the prefixes of a flood. And whoever comes with nothing queued
keeps the place that plain VTC gives it: only others that have come so may pass it, no client that has been waiting all along.
Bound: 2(U + Q) where VTC has 2U (docs/scheduling.md). Nobody starves inside the slack either: after `patience` admissions that
passed over the strict choice of VTC, or over a client's oldest unit, that one is next.
Cost: at most `candidates` units are looked up per choice, so a choice is O(candidates x log n) whatever waits; a choice that does
not fit stands, unless its client leaves the slack, and costs nothing until it fits.
Tests: tests/inference/scheduler/test_vtc_locality.py, test_vtc_starvation.py, test_vtc_properties.py, test_step_costs.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from inference.scheduler.counters import Client, N, Node
from inference.scheduler.matching import cached_tokens
from inference.scheduler.order import View
from inference.scheduler.unit import Unit
from inference.scheduler.vtc import Vtc

SLACK = 2_000.0  # tokens; tests/bench/locality.py measures it
RESERVE = 0.37  # of the slack, the same


class VtcLocality(Vtc):
    """See the module. `slack` is Q in tokens of the class of largest weight; `max_adapters` None = no clustering.

    `reserve` is a share of the slack, from 0 (anything inside it may begin) to 1 (only the least served may).
    """

    def __init__(
        self,
        slack: float = SLACK,
        candidates: int = 128,
        patience: int = 128,
        max_adapters: int | None = None,
        reserve: float = RESERVE,
        **options: Any,
    ) -> None:
        super().__init__(**{"charge_cached": False, **options})
        if slack < 0 or min(candidates, patience) < 1 or (max_adapters is not None and max_adapters < 1):
            raise ValueError("slack is at least 0; candidates, patience and max_adapters are at least 1")
        if not 0 <= reserve <= 1:
            raise ValueError("reserve is a share of the slack")
        self.slack, self.candidates, self.patience, self.max_adapters = slack, candidates, patience, max_adapters
        self.reserve = reserve
        self._run: str | None = None  # the prefix that was admitted last
        self._strict: Unit | None = None  # plain VTC's choice, when last asked
        self._choice: Unit | None = None  # what was chosen last and did not fit
        self._passed = 0  # admissions in a row that were not the strict choice

    def put(self, unit: Unit) -> None:
        """See `Order.put`. What was chosen and did not fit gives way to who has nothing else here."""
        super().put(unit)
        if self._tree.of(unit.head).lone:
            self._choice = None

    def take(self, unit: Unit) -> None:
        """See `Order.take`."""
        if unit is self._choice:
            self._choice = None
        client = self._tree.of(unit.head)
        if unit is client.queue.next(self.newest_first):
            client.overtaken = 0
        super().take(unit)

    def start(self, unit: Unit) -> None:
        """See `Order.start`."""
        client = self._tree.of(unit.head)
        oldest = unit is client.queue.next(self.newest_first)
        client.overtaken = 0 if oldest else client.overtaken + 1
        self._passed = 0 if unit is self._strict else self._passed + 1
        self._choice = None
        self._run = unit.prefix
        super().start(unit)

    def head(self, view: View) -> Unit | None:
        """See `Order.head`."""
        self._strict = super().head(view)
        if self._strict is None:
            return None
        standing = self._choice
        if standing is not None and self._may_stand(standing, view) and not view.fits(standing.requests):
            return standing
        self._choice = self._strict if self._passed >= self.patience else self._nearest(view)
        return self._choice

    def _may_stand(self, unit: Unit, view: View) -> bool:
        """Is the choice still inside the slack, and has nobody come meanwhile that it may not pass?"""
        levels = self._levels(unit)
        return self._affordable(unit, view) and all(node.fresh or not least.fresh for node, least in levels)

    def _levels(self, unit: Unit) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
        """The unit's client and group, each with the least of its siblings."""
        client = self._tree.of(unit.head)
        return (client, client.group.active.least()), (client.group, self._tree.active.least())

    def _affordable(self, unit: Unit, view: View) -> bool:
        """Will its client and group be inside the slack when its input has been charged? The least may always go."""
        charge = -1.0
        for node, least in self._levels(unit):
            if node.counter > least.counter:
                charge = self._charge(unit, view) if charge < 0 else charge
                if node.counter + charge > least.counter + self.slack:
                    return False
        return True

    def _charge(self, unit: Unit, view: View) -> float:
        """What its admission costs for certain: the input that has to be computed."""
        return sum(
            self._cost(self.chargeable(r, r.input_len - view.cached_len(r)), 0) * self._prices[r.klass]
            for r in unit.requests
        )

    def _nearest(self, view: View) -> Unit:
        """The best of the candidates, those of courtesy before all others."""
        for polite in (True, False):
            best = self._best(view, self._candidates(polite))
            if best is not None:
                return best
        assert self._strict is not None
        return self._strict

    def _best(self, view: View, candidates: Iterable[tuple[int, Unit, int]]) -> Unit | None:
        """Running adapters, then runs that may begin or go on, then cached tokens; of equals the least counters first."""
        full = self.max_adapters is not None and len(view.adapters) >= self.max_adapters
        best: Unit | None = None
        best_rank = (False, False, -1, False, 0, 0)
        for place, unit, sharing in candidates:
            near = not full or all(r.adapter is None or r.adapter in view.adapters for r in unit.requests)
            cached = cached_tokens(unit, view)
            goes_on = cached > 0 and unit.prefix is not None and unit.prefix == self._run
            rank = (near, goes_on or self._may_begin(unit), cached, goes_on, -place, sharing)
            if rank > best_rank and self._affordable(unit, view):
                best, best_rank = unit, rank
        return best

    def _may_begin(self, unit: Unit) -> bool:
        """Is so much of the slack left that a run is worth its while?"""
        room = (1.0 - self.reserve) * self.slack
        return all(node.counter <= least.counter + room for node, least in self._levels(unit))

    def _candidates(self, polite: bool) -> Iterator[tuple[int, Unit, int]]:
        """At most `candidates` units of clients in the slack, shared out evenly, least counters first."""
        groups = _first(self._tree.active.within(self.slack, self.candidates), polite)
        share = self.candidates // len(groups)
        clients: list[Client] = [c for group in groups for c in _first(group.active.within(self.slack, share), polite)]
        window = self.candidates // len(clients)
        for place, client in enumerate(clients):
            if client.overtaken >= self.patience or self.newest_first:
                yield place, client.queue.next(self.newest_first), 1
            else:
                yield from ((place, unit, sharing) for unit, sharing in client.queue.choices(window))

    def line(self, most: int | None = None) -> Iterator[Unit]:
        """See `Order.line`: what was chosen and did not fit yet, then as plain VTC; the cache is not asked."""
        if self._choice is not None:
            yield self._choice
        yield from (unit for unit in super().line(most) if unit is not self._choice)


def _first(nodes: list[N], polite: bool) -> list[N]:
    """Those that may go next: in courtesy who has nothing else here; else those that may pass the first."""
    lone = [node for node in nodes if node.lone] if polite else []
    return lone or ([node for node in nodes if node.fresh] if nodes[0].fresh else nodes)
