"""One arena of equal byte-sized pages with typed views (the unified paging of S-LoRA, section 5, in bytes).

Kept from the paper: KV and adapter rows share one pool without fragmentation. Different: a page is a number of bytes,
not a row of the hidden size, because under GQA a KV row is narrower than an adapter row.

A KV page holds `tokens` positions of every layer. Its unit is the slab: one layer's rows of those tokens, each row the
keys of all KV heads followed by the values. The slabs of all layers are followed by a tail reserved for the label rows
of sparse decode, rounded up to whole slabs, so that the arena is also one table of slabs that a gather reads in place.
Tests: tests/inference/engine/test_pages.py.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Kind(IntEnum):
    """What a page holds; a page that changes its kind is cleared, so that no bytes are read as another type."""

    KV = 1
    ADAPTER = 2


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
    first, so that memory never needed is never touched. Not thread-safe: the engine thread alone calls it.
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
        self._fresh = 1  # pages from here on were never used
        self._free: deque[int] = deque()

    @property
    def free(self) -> int:
        """Pages that can be allocated now."""
        return len(self._free) + self.capacity + 1 - self._fresh

    @property
    def used(self) -> int:
        """Pages that somebody holds."""
        return self.capacity - self.free

    def alloc(self, count: int, kind: Kind = Kind.KV) -> list[int]:
        """`count` pages with one owner each; OutOfPages (and nothing taken) when there are not so many."""
        if count > self.free:
            raise OutOfPages(f"{count} pages wanted, {self.free} of {self.capacity} free")
        return [self._take(kind) for _ in range(count)]

    def _take(self, kind: Kind) -> int:
        if self._free:
            page = self._free.pop()
        else:
            page, self._fresh = self._fresh, self._fresh + 1
        if self._kinds[page] not in (0, kind):
            self.page_bytes(page).zero_()
        self._kinds[page], self._refs[page] = kind, 1
        return page

    def share(self, pages: list[int]) -> None:
        """One more owner for each of `pages`."""
        for page in pages:
            self._held(page)
            self._refs[page] += 1

    def release(self, pages: list[int]) -> None:
        """One owner less for each of `pages`."""
        for page in reversed(pages):
            self._held(page)
            self._refs[page] -= 1
            if not self._refs[page]:
                self._free.append(page)

    def _held(self, page: int) -> None:
        if not 0 < page <= self.capacity or not self._refs[page]:
            raise ValueError(f"page {page} is held by nobody")

    def refs(self, page: int) -> int:
        """Owners of a page."""
        return self._refs[page]

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
