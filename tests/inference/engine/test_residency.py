"""Adapters in the pool: pinned while used, idle ones least recently used first, prefetches within what is spare."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inference.engine.lora import Segment, add_lora
from inference.engine.pages import Kind, Order, PagePool
from inference.engine.residency import Adapter, Residency
from inference.engine.weights import read_config
from tests.inference.engine.copies import HandPager, pool_of, version
from tests.inference.engine.tiny import make_adapter


class Rig:
    """A pool of 20 pages of 2048 bytes and adapters of 2 (a, b, c, d) and 4 pages (e)."""

    def __init__(self, model: Path, root: Path) -> None:
        self.config = read_config(model)
        self.pool: PagePool = pool_of(self.config, 20)
        self.pager = HandPager(self.config, self.pool)
        self.residency = Residency(self.pool, self.pager)
        paths = {key: make_adapter(root / key, seed=i, rank=4, targets=("q",)) for i, key in enumerate("abcd")}
        paths["e"] = make_adapter(root / "e", seed=9, rank=8, targets=("q",))
        self.adapters = {key: version(path, self.config, self.pool, key) for key, path in paths.items()}
        assert [a.layout.pages for a in self.adapters.values()] == [2, 2, 2, 2, 4]

    def __getitem__(self, key: str) -> Adapter:
        return self.adapters[key]

    def use(self, key: str) -> None:
        """Pin, copy, unpin."""
        self.residency.pin(self[key], "r")
        self.pager.finish_all()
        assert self.residency.poll() == []
        self.residency.unpin(self[key], "r")

    def resident(self) -> str:
        return "".join(key for key, adapter in self.adapters.items() if adapter.rows is not None)


@pytest.fixture
def rig(tiny_model: Path, tmp_path: Path) -> Rig:
    return Rig(tiny_model, tmp_path)


def test_a_pinned_adapter_comes_in_and_stays(rig: Rig) -> None:
    a = rig["a"]
    assert rig.residency.wanted([a, a]) == 2
    rig.residency.pin(a, "r1")
    assert not rig.residency.ready(a) and rig.pool.held(Kind.ADAPTER) == 2 and rig.residency.reclaimable == 0
    rig.residency.pin(a, "r2")
    assert [key for key, _ in rig.pager.submitted] == ["a", "a"] and len(rig.pager.waiting) == 1
    rig.pager.finish()
    assert rig.residency.poll() == [] and rig.residency.ready(a)
    rig.residency.unpin(a, "r1")
    assert rig.residency.reclaimable == 0 and rig.residency.reclaim(99) == 0, "another request still runs with it"
    rig.residency.unpin(a, "r2")
    assert rig.residency.reclaimable == 2 and rig.pool.used == 0 and rig.residency.wanted([a]) == 2
    rig.residency.pin(a, "r3")
    assert rig.residency.ready(a) and rig.residency.wanted([a]) == 0 and rig.residency.loads == 1


def test_the_rows_are_those_of_the_file(rig: Rig) -> None:
    rig.residency.pin(rig["a"], "r")
    rig.pager.finish_all()
    rig.residency.poll()
    rows = rig["a"].rows
    assert rows is not None
    x, y = torch.randn(3, 64), torch.zeros(3, 128)
    add_lora([Segment(0, 3, rows)], 1, "qkv", x, y)
    assert bool(y[:, :64].any()) and not bool(y[:, 64:].any()), "it has q alone"


def test_least_recently_used_goes_first_and_never_one_in_use(rig: Rig) -> None:
    for key in "abcd":
        rig.use(key)
    rig.use("a")
    rig.residency.pin(rig["c"], "r")
    assert rig.residency.reclaimable == 6
    assert rig.residency.reclaim(1) == 2 and rig.resident() == "acd"
    assert rig.residency.reclaim(3) == 4 and rig.resident() == "c"
    assert rig.residency.reclaim(1) == 0
    assert rig.pool.leaks([a.pages for a in rig.adapters.values()]) == []


def test_keys_and_values_push_idle_adapters_out(rig: Rig) -> None:
    for key in "abcde":
        rig.use(key)
    assert rig.pool.free == 8 and rig.pool.available == 20
    kv = rig.pool.alloc(11)
    assert rig.resident() == "cde"
    rig.pool.release(kv)
    rig.use("a")
    assert rig.residency.stats()["adapter_evictions_total"] == 2


def test_an_adapter_that_finds_no_room_comes_later(rig: Rig) -> None:
    """Possible only while copies in flight hold what was counted on: it is tried again each step."""
    kv = rig.pool.alloc(19)
    rig.residency.pin(rig["a"], "r")
    assert not rig.residency.ready(rig["a"]) and rig.pager.waiting == []
    rig.pool.release(kv)
    assert not rig.residency.ready(rig["a"]) and len(rig.pager.waiting) == 1
    rig.pager.finish()
    rig.residency.poll()
    assert rig.residency.ready(rig["a"])


def test_a_prefetch_takes_spare_pages_and_idle_adapters_that_are_not_wanted_soon(rig: Rig) -> None:
    for key in "ab":
        rig.use(key)
    kv = rig.pool.alloc(12)
    assert rig.pool.free == 4
    rig.residency.prefetch([rig["a"], rig["e"], rig["c"]], promised=1)
    assert rig.resident() == "a", "b made room for e; a is wanted soon"
    assert rig.pager.submitted[-1] == ("e", False) and rig["e"].job is not None
    assert rig["c"].job is None, "one page is left"
    before = len(rig.pager.submitted)
    rig.residency.prefetch([rig["a"], rig["e"], rig["c"]], promised=1)
    assert len(rig.pager.submitted) == before
    rig.residency.pin(rig["e"], "r")
    assert rig.pager.submitted[-1] == ("e", True), "it is urgent now"
    rig.pager.finish_all()
    rig.residency.poll()
    assert rig.residency.ready(rig["e"])
    rig.pool.release(kv)


class Prefixes:
    """Pages that nobody reads, as the prefix cache holds them."""

    def __init__(self, pool: PagePool, pages: int) -> None:
        self.pool, self.pages = pool, pool.alloc(pages)
        pool.add_reclaimer(Order.PREFIXES, self)

    @property
    def reclaimable(self) -> int:
        return len(self.pages)

    def reclaim(self, pages: int) -> int:
        given, self.pages = self.pages[:pages], self.pages[pages:]
        self.pool.release(given)
        return len(given)


def test_a_prefetch_takes_prefixes_as_admission_would_but_no_adapter_that_is_wanted_too(rig: Rig) -> None:
    """A tree that has filled the pool is no reason to wait for each adapter at its request's admission."""
    for key in "ab":
        rig.use(key)
    prefixes = Prefixes(rig.pool, 16)
    assert rig.pool.free == 0
    rig.residency.prefetch([rig["a"], rig["e"]], promised=3)
    assert rig.resident() == "a" and rig["e"].job is not None
    assert len(prefixes.pages) == 16 - (4 + 3 - 2), "b went first, then as many prefixes as were still missing"
    rig.residency.prefetch([rig["a"], rig["e"], rig["c"], rig["d"]], promised=11)
    assert rig["c"].job is not None and rig["d"].job is None and rig.resident() == "a"


def test_a_prefetch_that_cannot_fit_evicts_nothing(rig: Rig) -> None:
    rig.use("a")
    kv = rig.pool.alloc(18)
    rig.residency.prefetch([rig["e"]], promised=0)
    assert rig.resident() == "a" and rig.pager.waiting == []
    rig.pool.release(kv)


def test_an_unloaded_adapter_goes_with_its_last_user(rig: Rig) -> None:
    a = rig["a"]
    a.users |= {"r", "waiting"}
    rig.residency.pin(a, "r")
    rig.pager.finish_all()
    rig.residency.poll()
    rig.residency.retire(a)
    assert rig.residency.ready(a)
    a.users.discard("r")
    rig.residency.unpin(a, "r")
    assert a.rows is not None and rig.residency.reclaimable == 2, "another accepted request will want it"
    a.users.clear()
    rig.residency.unpin(a, "waiting")
    assert a.pages == [] and rig.pool.held(Kind.ADAPTER) == 0 and rig.residency.reclaimable == 0


def test_unloaded_while_it_is_being_copied(rig: Rig) -> None:
    rig.residency.prefetch([rig["a"]], promised=0)
    rig.residency.retire(rig["a"])
    assert rig.pool.held(Kind.ADAPTER) == 2, "the copy thread is writing there"
    rig.pager.finish_all()
    assert rig.residency.poll() == [] and rig.pool.held(Kind.ADAPTER) == 0
    assert rig.residency.loading() == [] and rig.residency.stats()["adapters_resident"] == 0


def test_a_failed_copy_gives_its_pages_back(rig: Rig) -> None:
    rig.pager.broken.add("a")
    rig.residency.pin(rig["a"], "r")
    rig.residency.pin(rig["b"], "r2")
    rig.pager.finish_all()
    assert rig.residency.poll() == [(rig["a"], "it is broken")]
    assert rig.pool.held(Kind.ADAPTER) == 2 and rig.residency.ready(rig["b"])
    rig.residency.unpin(rig["a"], "r")
    assert rig.residency.reclaimable == 0
    rig.pager.broken.clear()
    rig.use("a")
    assert rig.resident() == "ab"
