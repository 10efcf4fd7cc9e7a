"""KV and adapters compete for one small pool: something can always go on, and nothing is left behind.

The state machine drives the real core with a pager that copies only when told to, a hoard of prefixes that nobody uses (what
the radix tree keeps), aborts, loads and unloads, in any order. A request is either refused at arrival, because it can never
fit, or it ends. The model's arithmetic is left out here; test_core.py has it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inference.engine.core import EngineCore
from inference.engine.model import Chunk
from inference.engine.pages import Kind, Order, PagePool
from inference.engine.sequence import AdapterError, RequestError, StepOutput
from tests.inference.engine.copies import HandPager
from tests.inference.engine.tiny import make_adapter, make_core, make_model, sequence

RANKS = (1, 2, 3, 4, 6)  # of q and v: 1 to 5 pages of 2048 bytes


class Prefixes:
    """Pages of ended requests, kept as the radix tree would keep them."""

    def __init__(self, pool: PagePool) -> None:
        self.pool, self.pages = pool, list[int]()
        pool.add_reclaimer(Order.PREFIXES, self)

    @property
    def reclaimable(self) -> int:
        return len(self.pages)

    def reclaim(self, pages: int) -> int:
        given, self.pages = self.pages[:pages], self.pages[pages:]
        self.pool.release(given)
        return len(given)

    def keep(self, pages: int) -> None:
        self.pages += self.pool.alloc(min(pages, self.pool.free))


def without_arithmetic(core: EngineCore) -> EngineCore:
    """The same core, whose model says token 7 to everything and checks that each chunk has its pages and its adapter."""

    def forward(chunks: list[Chunk]) -> torch.Tensor:
        for chunk in chunks:
            assert len(chunk.pages) * 4 >= chunk.end
            assert all(core.pool.refs(page) for page in chunk.pages)
            assert chunk.adapter is None or all(core.pool.refs(page) for page in chunk.adapter.pages)
        return torch.zeros(sum(len(chunk.ids) for chunk in chunks), 1)

    core.model.forward = forward  # type: ignore[method-assign, assignment]
    core.model.logits = lambda states: torch.nn.functional.one_hot(torch.full((len(states),), 7), 300).float()  # type: ignore[method-assign]
    return core


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool")
    make_model(path / "model")
    for i, rank in enumerate(RANKS):
        make_adapter(path / f"a{i}", seed=i, rank=rank, targets=("q", "v"))
    return path


class PoolMachine(RuleBasedStateMachine):
    root: Path  # set on a subclass by the test

    @initialize(pages=st.integers(7, 24), running=st.integers(2, 5))
    def begin(self, pages: int, running: int) -> None:
        self.core = without_arithmetic(
            make_core(self.root / "model", pages=pages, max_running=running, prefetch_requests=3)
        )
        self.pager = HandPager(self.core.model_config, self.core.pool)
        self.core.adapter_store.residency._pager = self.pager
        self.prefixes = Prefixes(self.core.pool)
        self.open: set[str] = set()
        self.added = 0
        for i in range(len(RANKS)):
            self.register(i)

    def register(self, which: int) -> None:
        try:
            spec = self.core.adapter_store.inspect(self.root / f"a{which}")
            self.core.adapter_store.register(f"a{which}", spec)
        except AdapterError:
            assert RANKS[which] >= 6 and self.core.pool.capacity < 8 or f"a{which}" in self.core.adapters()

    def heard(self, outputs: list[StepOutput]) -> None:
        for output in outputs:
            assert output.seq_id in self.open and output.error is None
            if output.finish_reason:
                self.open.remove(output.seq_id)

    @rule(adapter=st.integers(-1, len(RANKS) - 1), prompt=st.integers(1, 70), output=st.integers(1, 30))
    def arrive(self, adapter: int, prompt: int, output: int) -> None:
        name = None if adapter < 0 else f"a{adapter}"
        seq = sequence(f"r{self.added}", [5] * prompt, name, client=f"c{self.added % 3}", max_tokens=output)
        self.added += 1
        try:
            assert self.core.add(seq, 0.0).accepted
        except RequestError:
            known = None if name is None else self.core.adapter_store._named.get(name)
            pages = -(-(prompt + output) // 4) + (known.layout.pages if known else 0)
            assert pages > self.core.pool.capacity or (name is not None and known is None), "refused without need"
            return
        self.open.add(seq.id)

    @rule(steps=st.integers(1, 8))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            self.heard(self.core.step(0.0))

    @precondition(lambda self: self.pager.waiting)
    @rule(which=st.integers(0, 9))
    def copy_ends(self, which: int) -> None:
        self.pager.finish(which)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(sorted(self.open)))
        assert self.core.abort(victim)
        self.open.remove(victim)

    @rule(which=st.integers(0, len(RANKS) - 1))
    def unload(self, which: int) -> None:
        if f"a{which}" in self.core.adapters():
            self.core.unload_adapter(f"a{which}")

    @rule(which=st.integers(0, len(RANKS) - 1))
    def load(self, which: int) -> None:
        self.register(which)

    @rule(pages=st.integers(1, 10))
    def prefixes_are_kept(self, pages: int) -> None:
        self.prefixes.keep(pages)

    @rule(pages=st.integers(1, 30))
    def evict(self, pages: int) -> None:
        self.core.pool.make_room(pages)

    @invariant()
    def every_page_has_its_owners(self) -> None:
        if not hasattr(self, "core"):
            return
        running = [seq.pages for seq in self.core._batch.running.values()]
        owners = [*running, self.prefixes.pages, *self.core.adapter_store.held_pages()]
        assert self.core.pool.leaks(owners) == []
        used = {a.key for a in map(self.core.adapter_store._of.get, self.core._batch.running) if a is not None}
        assert not used & self.core.adapter_store.residency._idle.keys(), "an adapter in use is never idle"

    def teardown(self) -> None:
        """From wherever the rules have led: copies end, steps are taken, and every accepted request ends."""
        if not hasattr(self, "core"):
            return
        for _ in range(5000):
            if not self.core.has_work():
                break
            self.pager.finish_all()
            self.heard(self.core.step(0.0))
        assert not self.open and self.core.scheduler.waiting() == 0
        assert self.core.pool.used == 0
        for name in self.core.adapters():
            self.core.unload_adapter(name)
        assert self.core.pool.held(Kind.ADAPTER) == 0
        assert self.core.pool.leaks([self.prefixes.pages]) == []


def test_something_can_always_go_on(root: Path) -> None:
    machine = type("Machine", (PoolMachine,), {"root": root})
    limits = settings(max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=limits)


@pytest.mark.slow
def test_ten_thousand_requests_leave_nothing_behind(root: Path) -> None:
    """Real copies by the copy thread, adapters of 1 to 5 pages in a pool of 40, aborts, unloads and reloads on the way."""
    core = make_core(root / "model", pages=40, max_running=12, max_batch_tokens=200, threads=1)
    prefixes, rng = Prefixes(core.pool), random.Random(20261125)
    for i in range(len(RANKS)):
        core.load_adapter(f"a{i}", root / f"a{i}")
    added = ended = aborted = 0
    open_ids: list[str] = []
    while added < 10_000 or core.has_work():
        while added < 10_000 and len(open_ids) < 24:
            adapter = rng.choice([None, *(f"a{i}" for i in range(len(RANKS)))])
            length, output = rng.randint(1, 30), rng.randint(1, 12)
            if adapter in (None, *core.adapters()):
                assert core.add(sequence(f"r{added}", [5] * length, adapter, max_tokens=output), 0.0).accepted
                open_ids.append(f"r{added}")
                added += 1
        outputs = core.step(0.0)
        assert all(output.error is None for output in outputs)
        gone = {output.seq_id for output in outputs if output.finish_reason}
        ended += len(gone)
        open_ids = [seq_id for seq_id in open_ids if seq_id not in gone]
        if open_ids and rng.random() < 0.3:
            assert core.abort(open_ids.pop(rng.randrange(len(open_ids))))
            aborted += 1
        if rng.random() < 0.02:
            which = rng.randrange(len(RANKS))
            core.unload_adapter(f"a{which}")
            core.load_adapter(f"a{which}", root / f"a{which}")
        if rng.random() < 0.1:
            prefixes.keep(rng.randint(1, 6))
        if rng.random() < 0.02:
            running = [seq.pages for seq in core._batch.running.values()]
            assert core.pool.leaks([*running, prefixes.pages, *core.adapter_store.held_pages()]) == []
    stats = core.stats()
    assert ended + aborted == 10_000 and aborted > 200
    assert stats["preemptions_total"] > 0 and stats["adapter_evictions_total"] > 100, "they did compete"
    assert core.pool.used == 0 and core.scheduler.waiting() == 0
    for name in core.adapters():
        core.unload_adapter(name)
    assert core.pool.leaks([prefixes.pages]) == [] and core.pool.held(Kind.ADAPTER) == 0
    assert core.adapter_store.cache.nbytes == 0
