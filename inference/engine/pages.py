"""One arena of equal byte-sized pages with typed views (the unified paging of S-LoRA, section 5, in bytes).

Kept from the paper: KV and adapter rows share one pool, every page serves either, so nothing fragments and each takes
what the other leaves. Different: a page is a number of bytes, not a row of the hidden size, because under GQA a KV row is
narrower than an adapter row; and what is only kept in case it is needed again (idle adapters, prefixes of ended requests)
counts as room: whoever keeps such pages registers how to get them back.

A KV page holds `tokens` positions of every layer. Its unit is the slab: one layer's rows of those tokens, each row the
keys of all KV heads followed by the values. The slabs of all layers are followed by a tail reserved for the label rows
of sparse decode, rounded up to whole slabs, so that the arena is also one table of slabs that a gather reads in place.
Tests: tests/inference/engine/test_pages.py; that KV and adapters never block each other: test_pool_progress.py.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Kind(IntEnum):
    """What a page holds. A page that becomes KV is cleared: masked positions are read too, and must be finite."""

    KV = 1
    ADAPTER = 2


class Order(IntEnum):
    """Who gives pages back first."""

    ADAPTERS = 0
    PREFIXES = 1


class Reclaimer(Protocol):
    """Somebody who holds pages that nobody is using, and can do without them. The engine thread asks."""

    @property
    def reclaimable(self) -> int:
        """Pages that it would give back now; O(1)."""

    def reclaim(self, pages: int) -> int:
        """Release at least `pages` of them to the pool if it can, the least useful first; how many it was."""


class OutOfPages(RuntimeError):
    """The pool has fewer free pages than were asked for."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Shape of a KV page. `label_bytes` are reserved per token and layer."""

    layers: int
    kv_heads: int
    head_dim: int
    tokens: int
    dtype: torch.dtype
    label_bytes: int = 0

    @property
    def slab_items(self) -> int:
        """Elements of one layer's keys and values in a page."""
        return self.tokens * 2 * self.kv_heads * self.head_dim

    @property
    def label_slabs(self) -> int:
        """Slabs reserved at the end of a page for label rows."""
        return -(-self.layers * self.tokens * self.label_bytes // (self.slab_items * self.dtype.itemsize))

    @property
    def slabs(self) -> int:
        """Slabs of one page."""
        return self.layers + self.label_slabs

    @property
    def page_bytes(self) -> int:
        """Bytes of one page."""
        return self.slabs * self.slab_items * self.dtype.itemsize


class PagePool:
    """The arena and who holds which page. Page 0 is never handed out: it stays zero and pads ragged gathers.

    A page is held by as many owners as have called `alloc` or `share`; `release` by the last frees it. Lowest ids go
    first, so that memory never needed is never touched. Every method is O(1) per page. Not thread-safe: the engine thread
    alone calls it.
    """

    def __init__(self, layout: Layout, pool_bytes: int, device: torch.device) -> None:
        self.layout = layout
        self.capacity = pool_bytes // layout.page_bytes - 1
        if self.capacity < 1:
            raise OutOfPages(f"a pool of {pool_bytes} bytes holds no two pages of {layout.page_bytes} bytes")
        self.arena = _zeros((self.capacity + 1) * layout.page_bytes, device)
        self._typed = self.arena.view(layout.dtype)
        self._refs = [0] * (self.capacity + 1)
        self._kinds = [0] * (self.capacity + 1)
        self._held = dict.fromkeys(Kind, 0)
        self._fresh = 1  # pages from here on were never used
        self._free: deque[int] = deque()
        self._reclaimers: list[tuple[Order, Reclaimer]] = []

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free) + self.capacity + 1 - self._fresh

    @property
    def available(self) -> int:
        """Pages that `alloc` can give: the free ones and those that reclaimers would release."""
        return self.room()

    def room(self, without: Reclaimer | None = None) -> int:
        """The free pages and those that all reclaimers but `without` would release."""
        return self.free + sum(holder.reclaimable for _, holder in self._reclaimers if holder is not without)

    @property
    def used(self) -> int:
        """Pages in use: neither free nor kept only in case they are needed again."""
        return self.capacity - self.available

    def held(self, kind: Kind) -> int:
        """Pages of this kind that somebody holds, in use or not."""
        return self._held[kind]

    def add_reclaimer(self, order: Order, holder: Reclaimer) -> None:
        """Let `holder` be asked for pages, after those of a lower order."""
        self._reclaimers = sorted([*self._reclaimers, (order, holder)], key=lambda entry: entry[0])

    def alloc(self, count: int, kind: Kind = Kind.KV) -> list[int]:
        """`count` pages with one owner each, at the price of what is idle; OutOfPages (and nothing taken) when short of them."""
        if count > self.free and not self.make_room(count):
            raise OutOfPages(f"{count} pages wanted, {self.free} of {self.capacity} free")
        return [self._take(kind) for _ in range(count)]

    def make_room(self, count: int, without: Reclaimer | None = None) -> bool:
        """Reclaim in order, but not from `without`, until `count` pages are free; False, and nothing done, when it cannot be."""
        if count > self.room(without):
            return False
        for _, holder in self._reclaimers:
            if count > self.free and holder.reclaimable and holder is not without:
                holder.reclaim(count - self.free)
        return count <= self.free

    def _take(self, kind: Kind) -> int:
        if self._free:
            page = self._free.pop()
        else:
            page, self._fresh = self._fresh, self._fresh + 1
        if kind is Kind.KV and self._kinds[page] not in (0, kind):
            self.page_bytes(page).zero_()
        self._kinds[page], self._refs[page] = kind, 1
        self._held[kind] += 1
        return page

    def share(self, pages: Sequence[int]) -> None:
        """One more owner for each of `pages`."""
        for page in pages:
            self._check_held(page)
            self._refs[page] += 1

    def release(self, pages: Sequence[int]) -> None:
        """One owner less for each of `pages`."""
        for page in reversed(pages):
            self._check_held(page)
            self._refs[page] -= 1
            if not self._refs[page]:
                self._held[Kind(self._kinds[page])] -= 1
                self._free.append(page)

    def _check_held(self, page: int) -> None:
        if not 0 < page <= self.capacity or not self._refs[page]:
            raise ValueError(f"page {page} is held by nobody")

    def refs(self, page: int) -> int:
        """Owners of a page."""
        return self._refs[page]

    def leaks(self, owners: Iterable[Sequence[int]]) -> list[str]:
        """What is wrong if `owners` (the page lists of everybody who holds some) is the whole truth; [] when all is well.

        O(capacity): for tests and for operators, not for every step.
        """
        counted = Counter(page for pages in owners for page in pages)
        wrong = [
            f"page {page} has {n} owners, of which {counted[page]} are known"
            for page, n in enumerate(self._refs)
            if n != counted[page]
        ]
        if len(set(self._free)) != len(self._free) or any(self._refs[page] for page in self._free):
            wrong.append("the free list holds a page twice, or one that is held")
        if sum(self._held.values()) != self.capacity - self.free:
            wrong.append(f"kinds count {sum(self._held.values())} pages, {self.capacity - self.free} are held")
        return wrong

    def page_bytes(self, page: int) -> Tensor:
        """The bytes of one page, (page_bytes) uint8."""
        size = self.layout.page_bytes
        return self.arena[page * size : (page + 1) * size]

    def slab_table(self) -> Tensor:
        """The arena as (pages * slabs, slab_items): row page * slabs + layer is that layer's keys and values."""
        return self._typed.view(-1, self.layout.slab_items)

    def token_table(self) -> Tensor:
        """The arena as (pages * slabs * tokens, 2 * kv_heads * head_dim): one row per token and layer."""
        return self._typed.view(-1, 2 * self.layout.kv_heads * self.layout.head_dim)

    def labels(self, layer: int) -> Tensor:
        """The reserved label rows of one layer, (pages, tokens, label_bytes) uint8, a view."""
        lay = self.layout
        start = lay.layers * lay.slab_items * lay.dtype.itemsize + layer * lay.tokens * lay.label_bytes
        size = (self.capacity + 1, lay.tokens, lay.label_bytes)
        return self.arena.as_strided(size, (lay.page_bytes, lay.label_bytes, 1), start)

    def rows(self, page: int, width: int, dtype: torch.dtype) -> Tensor:
        """A page as rows of `width` elements of `dtype`, as many as fit: how adapter matrices of any width lie here."""
        count = self.layout.page_bytes // (width * dtype.itemsize)
        return self.page_bytes(page)[: count * width * dtype.itemsize].view(dtype).view(count, width)


def _zeros(size: int, device: torch.device) -> Tensor:
    """`size` zero bytes. On the CPU numpy asks the system for zero pages, which cost nothing until they are touched."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(size, dtype=np.uint8))
    return torch.zeros(size, dtype=torch.uint8, device=device)
