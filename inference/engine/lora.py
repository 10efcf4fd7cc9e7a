"""LoRA adapters applied beside the base weights, many of different ranks in one batch (S-LoRA, sections 4 and 5).

h = x W + (x A) B * scale: the base product is batched over everything, the small ones per segment, a run of batch rows that
share an adapter. A rank-r projection is r rows of A (as wide as the input) and r rows of B transposed (as wide as the
output), packed row by row into pages of the pool that KV uses too; a projection is found through its adapter's page list.
Kept from the paper: never merged, rows gathered where they lie, no padding to the largest rank, prefill and decode alike.
Different: rows keep their own width (q, k and v differ under GQA) and may keep the dtype of the file; the A of projections
that the model fuses lie one after the other, so that one product serves q, k and v.
Tests: tests/inference/engine/test_lora.py (equal to merged weights, mixed batches equal to each alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import linear

from inference.engine.pages import PagePool
from inference.engine.sequence import AdapterError
from inference.engine.weights import ModelConfig

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TARGETS = {"qkv": (0, 1, 2), "out": (3,), "gate_up": (4, 5), "down": (6,)}  # fused projection -> its modules, in order
ALIGN = 64  # bytes; where a matrix begins in its page
BLOCK = 32_000  # elements; torch wakes its other threads for copies from 32,768 on


def dims(config: ModelConfig) -> tuple[tuple[int, int], ...]:
    """(in, out) of each of MODULES."""
    (q, k, v), c, inner = config.qkv_dims, config.hidden, config.intermediate
    return (c, q), (c, k), (c, v), (q, c), (c, inner), (c, inner), (inner, c)


@dataclass(frozen=True, slots=True)
class Shape:
    """What of the model an adapter touches: adapters of one shape are laid out alike. `modules` per layer, in order."""

    rank: int
    modules: tuple[tuple[int, ...], ...]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring rows: `rows` rows from byte `offset` of the adapter's page number `page`."""

    page: int
    offset: int
    rows: int


@dataclass(frozen=True, slots=True)
class Columns:
    """The B of one module: its `rank` rows, of `out` elements each, add to columns [first, first + out) of the target."""

    module: int
    first: int
    out: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """One fused projection: the A rows of all its modules one after the other, each `width` wide, then each module's B."""

    modules: tuple[int, ...]
    width: int
    a: tuple[Run, ...]
    b: tuple[Columns, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RowMap:
    """Where every row of an adapter of one shape lies; one object per shape.

    `nbytes` is what of the last page is used, and all pages before it.
    """

    shape: Shape
    places: dict[tuple[int, str], Place]
    pages: int
    nbytes: int


class _Cursor:
    """Hands out rows of pages; a row never straddles two pages, a matrix may."""

    def __init__(self, page_bytes: int) -> None:
        self.page_bytes, self.page, self.offset = page_bytes, 0, 0

    def take(self, rows: int, row_bytes: int) -> tuple[Run, ...]:
        if row_bytes > self.page_bytes:
            raise AdapterError(
                f"a row of {row_bytes} bytes does not fit a page of {self.page_bytes} bytes; raise page_tokens"
            )
        self.offset = -(-self.offset // ALIGN) * ALIGN
        runs = []
        while rows:
            fit = min(rows, max(0, self.page_bytes - self.offset) // row_bytes)
            if not fit:
                self.page, self.offset = self.page + 1, 0
                continue
            runs.append(Run(self.page, self.offset, fit))
            self.offset += fit * row_bytes
            rows -= fit
        return tuple(runs)


@lru_cache(maxsize=256)
def row_map(config: ModelConfig, shape: Shape, page_bytes: int) -> RowMap:
    """The layout of adapters of `shape`. AdapterError when a row is larger than a page."""
    cursor, size, widths = _Cursor(page_bytes), shape.dtype.itemsize, dims(config)
    places: dict[tuple[int, str], Place] = {}
    for layer, touched in enumerate(shape.modules):
        for target, parts in TARGETS.items():
            modules = tuple(m for m in parts if m in touched)
            if not modules:
                continue
            width = widths[modules[0]][0]
            a = cursor.take(shape.rank * len(modules), width * size)
            b = []
            for module in modules:
                first, out = sum(widths[m][1] for m in parts if m < module), widths[module][1]
                b.append(Columns(module, first, out, cursor.take(shape.rank, out * size)))
            places[layer, target] = Place(modules, width, a, tuple(b))
    return RowMap(shape, places, cursor.page + 1, cursor.page * page_bytes + cursor.offset)


def write_rows(pages: Sequence[Tensor], runs: Sequence[Run], dtype: torch.dtype, matrices: Sequence[Tensor]) -> None:
    """Put matrices (rows, width), one after the other, into `pages` (bytes,) uint8 at `runs`, as `dtype`.

    In blocks that torch copies in the calling thread alone, whatever type and strides the matrices have.
    """
    width = matrices[0].shape[1]
    blocks = iter([block for matrix in matrices for block in matrix.split(max(1, BLOCK // width))])
    block = next(blocks)
    for run in runs:
        room = pages[run.page][run.offset : run.offset + run.rows * width * dtype.itemsize].view(dtype).view(-1, width)
        while len(room):
            count = min(len(room), len(block))
            room[:count].copy_(block[:count])
            room, block = room[count:], block[count:]
            if not len(block):
                block = next(blocks, block)


class LoraRows:
    """An adapter in the pool, ready to apply. `pages[i]` holds what its row map calls page i."""

    def __init__(self, name: str, scale: float, layout: RowMap, pool: PagePool, pages: Sequence[int]) -> None:
        self.name, self.scale, self.layout, self.pages = name, scale, layout, tuple(pages)
        self._arena = pool.arena.view(layout.shape.dtype)
        self._page_bytes = pool.layout.page_bytes
        self._parts: dict[tuple[int, str], _Part | None] = {}

    def matrix(self, runs: Sequence[Run], width: int) -> tuple[Tensor, ...]:
        """Rows of `width` elements as views of the arena, one per run."""
        size = self._arena.element_size()
        starts = [(self.pages[run.page] * self._page_bytes + run.offset) // size for run in runs]
        pairs = zip(runs, starts, strict=True)
        return tuple(self._arena.as_strided((run.rows, width), (width, 1), start) for run, start in pairs)

    def part(self, layer: int, target: str) -> _Part | None:
        """What the adapter adds to a fused projection; None where it has nothing."""
        key = layer, target
        if key not in self._parts:
            place = self.layout.places.get(key)
            self._parts[key] = None if place is None else self._bind(place)
        return self._parts[key]

    def _bind(self, place: Place) -> _Part:
        columns = [(c.first, c.first + c.out, self.matrix(c.runs, c.out)) for c in place.b]
        return _Part(self.matrix(place.a, place.width), columns)


@dataclass(slots=True)
class _Part:
    """Views of one fused projection: A stacked (modules * rank, in), and per module (first, last column, B^T (rank, out))."""

    a: tuple[Tensor, ...]
    b: list[tuple[int, int, tuple[Tensor, ...]]]


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows [start, stop) of a batch that share an adapter."""

    start: int
    stop: int
    lora: LoraRows


def add_lora(segments: Sequence[Segment], layer: int, target: str, x: Tensor, y: Tensor) -> None:
    """y[s] += (x[s] A_s^T) B_s^T * scale_s for each segment s, in place; x is (T, in), y (T, out), same dtype.

    `target` is a key of TARGETS. Each segment reads the rows of its own rank where they lie in the pool, nothing is padded
    and rows outside all segments are untouched. Rows stored in another dtype than x's are widened as they are read.
    """
    for segment in segments:
        part = segment.lora.part(layer, target)
        if part is None:
            continue
        rank, out = segment.lora.layout.shape.rank, y[segment.start : segment.stop]
        inner = linear(x[segment.start : segment.stop], _whole(part.a, x.dtype))
        for i, (first, last, rows) in enumerate(part.b):
            narrow = inner if len(part.b) == 1 else inner[:, i * rank : (i + 1) * rank]
            out[:, first:last].addmm_(narrow, _whole(rows, x.dtype), alpha=segment.lora.scale)


def _whole(views: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """The rows of a matrix in one tensor of `dtype`: a view where they lie together already, gathered otherwise."""
    return (views[0] if len(views) == 1 else torch.cat(views)).to(dtype)
