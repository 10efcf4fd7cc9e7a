"""Which adapters are in the pool (S-LoRA, sections 5.1 and 5.2): pinned while a running request uses them, idle ones kept
least recently used first out, others brought in by the copy thread while the batch goes on.

Kept from the paper: adapters and KV compete for the same pages; adapters of requests that are about to run are prefetched.
Different: an idle adapter counts as room, so a request is admitted whenever its KV and adapter fit beside what is pinned;
a prefetch takes only pages that the running batch does not need next.
Tests: tests/inference/engine/test_residency.py; progress under any mix: test_pool_progress.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from inference.engine.lora import LoraRows, RowMap
from inference.engine.pager import Job, Pager
from inference.engine.pages import Kind, Order, OutOfPages, PagePool
from inference.engine.peft import Spec


@dataclass(slots=True, eq=False)
class Adapter:
    """One version of one adapter. `key` is unique among all versions ever loaded; `users` are accepted requests not ended.

    Its `pages` are held while it is being copied (`job`), pinned or idle; `rows` is set once they are filled.
    """

    name: str
    key: str
    spec: Spec
    layout: RowMap
    users: set[str] = field(default_factory=set)
    pins: set[str] = field(default_factory=set)
    pages: list[int] = field(default_factory=list)
    rows: LoraRows | None = None
    job: Job | None = None
    retired: bool = False
    descriptor: int | None = None


class Residency:
    """See the module. `pager` fills pages; the engine thread calls everything here."""

    def __init__(self, pool: PagePool, pager: Pager) -> None:
        self._pool, self._pager = pool, pager
        self._idle: OrderedDict[str, Adapter] = OrderedDict()  # resident and unpinned, least recently used first
        self._idle_pages = 0
        self._loading: dict[str, Adapter] = {}
        self._resident = 0
        self.loads = self.evictions = self.prefetches = 0
        pool.add_reclaimer(Order.ADAPTERS, self)

    # -- giving back: inference.engine.pages.Reclaimer ----------------------------------------------------------------

    @property
    def reclaimable(self) -> int:
        """Pages of adapters that no running request uses."""
        return self._idle_pages

    def reclaim(self, pages: int) -> int:
        """Drop idle adapters, least recently used first, until `pages` pages are free of them."""
        freed = 0
        while freed < pages and self._idle:
            freed += self._evict_one(next(iter(self._idle.values())))
        return freed

    def _evict_one(self, adapter: Adapter) -> int:
        count = len(adapter.pages)
        self._leave_idle(adapter)
        self._free(adapter)
        self.evictions += 1
        return count

    # -- using -----------------------------------------------------------------------------------------------------

    def wanted(self, adapters: Iterable[Adapter]) -> int:
        """Pages that pinning all of these takes from `pool.available`."""
        distinct = {adapter.key: adapter for adapter in adapters}.values()
        return sum(a.layout.pages for a in distinct if not a.pins and a.job is None)

    def pin(self, adapter: Adapter, seq_id: str) -> None:
        """A running request uses the adapter from now on: it comes in if it is not here, and stays."""
        adapter.pins.add(seq_id)
        self._leave_idle(adapter)
        if adapter.job is not None:
            self._pager.submit(adapter.job, urgent=True)
        elif not adapter.pages:
            self._load(adapter, urgent=True)

    def unpin(self, adapter: Adapter, seq_id: str) -> None:
        """The request runs no more."""
        adapter.pins.discard(seq_id)
        self._settle(adapter)

    def ready(self, adapter: Adapter) -> bool:
        """May a pinned adapter be computed with? One that found no pages when it was pinned tries again here."""
        if adapter.rows is None and adapter.job is None:
            self._load(adapter, urgent=True)
        return adapter.rows is not None

    def prefetch(self, adapters: Iterable[Adapter], promised: int) -> None:
        """Bring in adapters that will be wanted, in this order, beside `promised` pages that the running batch needs next.

        They displace idle adapters that are not among them, then prefixes, as their admission would. Where even that is not
        enough, nothing is displaced.
        """
        soon = {adapter.key: adapter for adapter in adapters}
        for adapter in soon.values():
            if adapter.key in self._idle:
                self._idle.move_to_end(adapter.key)
            if adapter.pages:
                continue
            others = [idle for idle in self._idle.values() if idle.key not in soon]
            wanted = adapter.layout.pages + promised
            if wanted > self._pool.room(without=self) + sum(len(idle.pages) for idle in others):
                return
            for idle in others:
                if self._pool.free < wanted:
                    self._evict_one(idle)
            self._pool.make_room(wanted, without=self)
            self.prefetches += 1
            self._load(adapter, urgent=False)

    def retire(self, adapter: Adapter) -> None:
        """The adapter was unloaded: its pages go with its last user."""
        adapter.retired = True
        self._settle(adapter)

    # -- coming and going ------------------------------------------------------------------------------------------

    def _load(self, adapter: Adapter, urgent: bool) -> None:
        try:
            adapter.pages = self._pool.alloc(adapter.layout.pages, Kind.ADAPTER)
        except OutOfPages:  # copies in flight hold what was counted on; they end
            return
        adapter.job = Job(adapter.key, adapter.spec, adapter.layout, tuple(adapter.pages), adapter.descriptor)
        self._loading[adapter.key] = adapter
        self.loads += 1
        self._pager.submit(adapter.job, urgent)

    def poll(self) -> list[tuple[Adapter, str]]:
        """Take over what the copy thread has finished; the adapters that could not be read, with the reason."""
        failed: list[tuple[Adapter, str]] = []
        if not self._loading:
            return failed
        for job in self._pager.finished():
            adapter = self._loading.pop(job.key)
            adapter.job = None
            if job.error is None:
                adapter.rows = LoraRows(adapter.name, adapter.spec.scale, adapter.layout, self._pool, adapter.pages)
                self._resident += 1
            else:
                self._free(adapter)
                failed.append((adapter, job.error))
            self._settle(adapter)
        return failed

    def loading(self) -> list[Adapter]:
        """Adapters that the copy thread is busy with."""
        return list(self._loading.values())

    def wait(self, timeout_s: float) -> None:
        """Until a copy has ended, if one is in flight."""
        if self._loading:
            self._pager.wait(timeout_s)

    def _settle(self, adapter: Adapter) -> None:
        """An adapter that is here and that nobody runs with becomes idle, or is freed when nobody may use it again."""
        if adapter.pins or adapter.rows is None:
            return
        if adapter.retired and not adapter.users:
            self._leave_idle(adapter)
            self._free(adapter)
        elif adapter.key not in self._idle:
            self._idle[adapter.key] = adapter
            self._idle_pages += len(adapter.pages)

    def _leave_idle(self, adapter: Adapter) -> None:
        if self._idle.pop(adapter.key, None) is not None:
            self._idle_pages -= len(adapter.pages)

    def _free(self, adapter: Adapter) -> None:
        self._pool.release(adapter.pages)
        self._resident -= adapter.rows is not None
        adapter.pages, adapter.rows = [], None

    # -- figures ---------------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """Gauges and counters."""
        return {
            "adapters_resident": self._resident,
            "adapters_loading": len(self._loading),
            "adapter_loads_total": self.loads,
            "adapter_prefetches_total": self.prefetches,
            "adapter_evictions_total": self.evictions,
        }
