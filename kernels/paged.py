"""Where keys and values lie, and which rows of a step belong to which sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from kernels import library


@dataclass(frozen=True, slots=True)
class Paging:
    """KV pages in `arena` (float items): position p of a page's sequence is at page * page_stride + layer * slab_stride +
    p % tokens * token width; the keys of all KV heads, then the values."""

    arena: Tensor
    page_stride: int
    slab_stride: int
    tokens: int
    kv_heads: int
    head_dim: int

    @property
    def token_stride(self) -> int:
        """Items of one token: keys and values."""
        return 2 * self.kv_heads * self.head_dim

    def offset(self, page: int, layer: int, position: int) -> int:
        """First item of a token."""
        return page * self.page_stride + layer * self.slab_stride + position % self.tokens * self.token_stride

    def token(self, page: int, layer: int, position: int) -> Tensor:
        """Keys and values of one token, a view (2, kv_heads, head_dim)."""
        start = self.offset(page, layer, position)
        return self.arena[start : start + self.token_stride].view(2, self.kv_heads, self.head_dim)


@dataclass(slots=True)
class Rows:
    """Row t is at `positions[t]` of sequence `sequences[t]`, whose pages are table[first[s]], ...; neighbours stay together."""

    positions: list[int]
    sequences: list[int]
    first: list[int]
    table: list[int]

    def page(self, sequence: int, position: int, tokens: int) -> int:
        """The page of a position, `tokens` to a page."""
        return self.table[self.first[sequence] + position // tokens]


def pages_struct(pages: Paging) -> library.Pages:
    """`pages` for the C functions; the arena must outlive it."""
    strides = (pages.page_stride, pages.slab_stride, pages.token_stride)
    return library.Pages(pages.arena.data_ptr(), *strides, pages.tokens)


def set_rows(batch: library.Batch, rows: Rows) -> list[np.ndarray]:
    """Point `batch` at `rows`; the returned arrays must outlive its use."""
    given = {"pos": rows.positions, "seq": rows.sequences, "first": rows.first, "table": rows.table}
    arrays = {name: np.array(values, dtype=np.int32) for name, values in given.items()}
    for name, array in arrays.items():
        setattr(batch, name, array.ctypes.data)
    return list(arrays.values())
