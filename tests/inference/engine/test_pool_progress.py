"""KV and adapters compete for one small pool: something can always go on, and nothing is left behind.

The state machine drives the real core and its prefix cache with a pager that copies only when told to, aborts, loads and unloads,
in any order. A request is either refused at arrival, because it can never fit, or it ends. The model's arithmetic is left out
here; test_core.py has it.
"""

from __future__ import annotations

import random
from collections import Counter
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

from inference.engine.config import EngineConfig
from inference.engine.core import EngineCore
from inference.engine.model import Chunk
from inference.engine.pages import Kind
from inference.engine.sequence import AdapterError, RequestError, StepOutput
from inference.scheduler.registry import make_scheduler
from tests.inference.engine.copies import HandPager
from tests.inference.engine.tiny import (
    PAGE_BYTES,
    check_idle,
    check_pages,
    make_adapter,
    make_core,
    make_model,
    sequence,
)

RANKS = (1, 2, 3, 4, 6)  # of q and v: 1 to 5 pages of 2048 bytes


def without_arithmetic(core: EngineCore) -> EngineCore:
    """The same core, whose model says token 7 to everything and checks that each chunk has its pages and its adapter."""

    def forward(chunks: list[Chunk]) -> torch.Tensor:
        for chunk in chunks:
            assert len(chunk.pages) * 4 >= chunk.end
            assert all(core.pool.refs(page) for page in chunk.pages)
            assert chunk.adapter is None or all(core.pool.refs(page) for page in chunk.adapter.pages)
        return torch.zeros(sum(len(chunk.ids) for chunk in chunks), 1)

    core.model.forward = forward  # type: ignore[method-assign, assignment]
    core.model.best = lambda states: (torch.full((len(states),), 7), torch.ones(len(states)))  # type: ignore[method-assign]
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

    @rule(
        adapter=st.integers(-1, len(RANKS) - 1),
        prompt=st.integers(1, 70),
        token=st.integers(5, 8),
        output=st.integers(1, 30),
    )
    def arrive(self, adapter: int, prompt: int, token: int, output: int) -> None:
        """Prompts of the same token begin alike."""
        name = None if adapter < 0 else f"a{adapter}"
        seq = sequence(f"r{self.added}", [token] * prompt, name, client=f"c{self.added % 3}", max_tokens=output)
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

    @rule(pages=st.integers(1, 30))
    def evict(self, pages: int) -> None:
        self.core.pool.make_room(pages)

    @invariant()
    def every_page_has_its_owners(self) -> None:
        if not hasattr(self, "core"):
            return
        check_pages(self.core)
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
        for name in self.core.adapters():
            self.core.unload_adapter(name)
        assert self.core.pool.held(Kind.ADAPTER) == 0
        check_idle(self.core)


def test_something_can_always_go_on(root: Path) -> None:
    machine = type("Machine", (PoolMachine,), {"root": root})
    limits = settings(max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=limits)


class Traffic:
    """Requests of a busy client and two quiet ones, each of which ends, is aborted, shed or refused; adapters that change."""

    def __init__(self, core: EngineCore, root: Path, requests: int, seed: int) -> None:
        self.core, self.root, self.left, self.rng = core, root, requests, random.Random(seed)
        self.open: list[str] = []
        self.fates = Counter[str]()
        for i in range(len(RANKS)):
            core.load_adapter(f"a{i}", root / f"a{i}")

    def arrive(self) -> None:
        """Prompts that may begin alike, most of them for an adapter."""
        self.left -= 1
        ids = [self.rng.randint(5, 7)] * self.rng.randint(1, 24) + self.rng.choices(
            range(8, 300), k=self.rng.randint(0, 6)
        )
        adapter = self.rng.choice([None, *(f"a{i}" for i in range(len(RANKS)))])
        client = self.rng.choice(["busy"] * 8 + ["quiet0", "quiet1"])
        seq = sequence(f"r{self.left}", ids, adapter, client=client, max_tokens=self.rng.randint(1, 16))
        if self.core.add(seq, 0.0).accepted:
            self.open.append(seq.id)
        else:
            self.fates["refused"] += 1

    def step(self) -> None:
        for output in self.core.step(0.0):
            if output.finish_reason:
                self.open.remove(output.seq_id)
                assert output.error is None or output.error.startswith("shed"), output.error
                self.fates["shed" if output.error else "ended"] += 1

    def disturb(self) -> None:
        """An abort, or an adapter that is replaced while it is in use."""
        if self.open and self.rng.random() < 0.1:
            victim = self.rng.choice(self.open)
            if self.core.abort(victim):  # not one that was shed and is still to be told
                self.open.remove(victim)
                self.fates["aborted"] += 1
        if self.rng.random() < 0.02:
            name = f"a{self.rng.randrange(len(RANKS))}"
            self.core.unload_adapter(name)
            self.core.load_adapter(name, self.root / name)


@pytest.mark.slow
def test_ten_thousand_requests_leave_nothing_behind(root: Path) -> None:
    """The real model and the copy thread, adapters of 1 to 5 pages in a pool of 40."""
    config = EngineConfig(
        root / "model", page_tokens=4, pool_bytes=41 * PAGE_BYTES, max_running=12, max_batch_tokens=200, threads=1
    )
    core = EngineCore(config, make_scheduler(max_waiting_per_client=14, max_waiting=16))
    traffic = Traffic(core, root, 10_000, seed=20261125)
    while traffic.left or core.has_work():
        burst = 20 if traffic.rng.random() < 0.01 else 1
        while traffic.left and (burst > 1 or core.stats()["waiting"] < 8):
            traffic.arrive()
            burst -= 1
        traffic.step()
        traffic.disturb()
        if traffic.rng.random() < 0.02:
            check_pages(core)
    stats, fates = core.stats(), traffic.fates
    assert sum(fates.values()) == 10_000 and not traffic.open
    assert min(fates[fate] for fate in ("aborted", "shed", "refused")) > 100 and fates["ended"] > 6000, fates
    assert stats["preemptions_total"] > 20 and stats["adapter_evictions_total"] > 100, "they did compete"
    assert stats["cached_tokens_total"] > 1000 and stats["evicted_tokens_total"] > 1000
    for name in core.adapters():
        core.unload_adapter(name)
    check_idle(core)
    assert core.pool.held(Kind.ADAPTER) == core.adapter_store.cache.nbytes == 0
