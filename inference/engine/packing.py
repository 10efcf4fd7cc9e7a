"""The values of an adapter: from its file into the page layout of lora.py, every one checked to be finite.

A file whose dtype the rows keep is copied by moves that files with the same header share: thousands of adapters are cut by few
patterns, and working one out costs more than the copies themselves. Otherwise torch converts, matrix by matrix.
Tests: tests/inference/engine/test_packing.py, test_peft.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from inference.engine.lora import RowMap, Run, Shape, write_rows
from inference.engine.peft import Found, Spec, open_file, read_entries
from inference.engine.sequence import AdapterError
from inference.engine.tensorfile import Entry
from inference.engine.weights import ModelConfig

EXPONENT = {torch.float32: 0x7F800000, torch.float16: 0x7C00, torch.bfloat16: 0x7F80}  # all set: infinite or NaN
CHECKED = 1 << 17  # items whose exponents are looked at together: they stay in the cache

Array = np.ndarray[Any, np.dtype[Any]]


class Scratch:
    """Memory that is used again and again: fresh memory would cost a page fault for each page of each adapter."""

    def __init__(self) -> None:
        self._buffer = np.empty(0, np.uint8)
        self.masked = np.empty(CHECKED, np.uint32)

    def of(self, size: int) -> Array:
        """`size` bytes, uint8, valid until the next call."""
        if len(self._buffer) < size:
            self._buffer = np.empty(size, np.uint8)
        return self._buffer[:size]


def pack(
    spec: Spec,
    config: ModelConfig,
    layout: RowMap,
    pages: Sequence[Tensor],
    scratch: Scratch,
    descriptor: int | None = None,
) -> None:
    """Write the adapter's rows into `pages`, CPU buffers (bytes,) uint8 of which all but the last are whole pages.

    `descriptor` is the open file where its name may be gone. AdapterError when the file is not the one that was inspected,
    cannot be read, or holds values that are not finite; the pages hold rubbish then.
    """
    with open_file(spec.file, descriptor=descriptor) as (handle, found_as):
        if found_as != spec.signature:
            raise AdapterError(f"{spec.file} has changed since it was loaded; load the adapter again")
        entries = read_entries(handle, spec.file, found_as[2], config, spec.shape.rank)
        first = min(entry.begin for entry in entries.values())
        handle.seek(first)
        data = scratch.of(spec.file_bytes - first)
        if handle.readinto(data.data) != len(data):  # type: ignore[attr-defined]
            raise AdapterError(f"{spec.file} is shorter than it was")
    kinds = {entry.dtype for entry in entries.values()}
    if kinds == {layout.shape.dtype}:
        finite = _copy(data, entries, layout, pages, scratch)
    else:
        finite = _convert(data, first, entries, layout, pages, scratch)
    if not finite:
        raise AdapterError(f"{spec.file} holds values that are not finite")


def _finite(items: Array, dtype: torch.dtype, scratch: Scratch) -> bool:
    """Are all of these numbers? `items` are unsigned integers of the dtype's size."""
    mask, masked = EXPONENT[dtype], scratch.masked.view(items.dtype)
    for start in range(0, len(items), CHECKED):
        part = items[start : start + CHECKED]
        if np.bitwise_and(part, mask, out=masked[: len(part)]).max() >= mask:
            return False
    return True


# -- as stored ---------------------------------------------------------------------------------------------------------


class Move(NamedTuple):
    """`rows` rows of `width` items: to item `offset` of page `page`, from items `begin` on.

    `height` 0: they lie there one after the other; else they are as many columns of rows of `height` items, from `column` on.
    """

    page: int
    offset: int
    rows: int
    width: int
    begin: int
    height: int
    column: int


def _copy(data: Array, entries: Found, layout: RowMap, pages: Sequence[Tensor], scratch: Scratch) -> bool:
    dtype = layout.shape.dtype
    kind = np.uint32 if dtype.itemsize == 4 else np.uint16
    items = data.view(kind)  # the tensors are the file's data to the byte, so each begins at a whole item
    if not _finite(items, dtype, scratch):
        return False
    rooms = [page.numpy()[: page.numel() // dtype.itemsize * dtype.itemsize].view(kind) for page in pages]
    for page, offset, rows, width, begin, height, column in _moves(entries, layout):
        room = rooms[page][offset : offset + rows * width].reshape(rows, width)
        if height:
            room[...] = items[begin : begin + width * height].reshape(width, height)[:, column : column + rows].T
        else:
            room[...] = items[begin : begin + rows * width].reshape(rows, width)
    return True


@lru_cache(maxsize=64)
def _moves(entries: Found, layout: RowMap) -> tuple[Move, ...]:
    found: list[Move] = []
    first = min(entry.begin for entry in entries.values())
    for (layer, _), place in layout.places.items():
        sides_a = [entries[layer, module, "A"] for module in place.modules]
        found += _pieces(place.a, place.width, sides_a, layout.shape, first, transposed=False)
        for part in place.b:
            side_b = [entries[layer, part.module, "B"]]
            found += _pieces(part.runs, part.out, side_b, layout.shape, first, transposed=True)
    return tuple(found)


def _pieces(
    runs: Sequence[Run], width: int, tensors: Sequence[Entry], shape: Shape, first: int, transposed: bool
) -> Iterator[Move]:
    """Rows of several tensors of `rank` rows each (columns, if transposed), as they fall into the runs."""
    size, rank, row = shape.dtype.itemsize, shape.rank, 0
    for run in runs:
        offset, left = run.offset // size, run.rows
        while left:
            which, inside = divmod(row, rank)
            count = min(left, rank - inside)
            begin = (tensors[which].begin - first) // size
            if transposed:
                yield Move(run.page, offset, count, width, begin, rank, inside)
            else:
                yield Move(run.page, offset, count, width, begin + inside * width, 0, 0)
            row, left, offset = row + count, left - count, offset + count * width


# -- converted ---------------------------------------------------------------------------------------------------------


def _convert(
    data: Array, first: int, entries: Found, layout: RowMap, pages: Sequence[Tensor], scratch: Scratch
) -> bool:
    matrices: dict[tuple[int, int, str], Tensor] = {}
    for key, entry in entries.items():
        raw = data[entry.begin - first : entry.end - first]
        if (entry.begin - first) % entry.dtype.itemsize:  # tensors of several dtypes may lie anywhere
            raw = raw.copy()
        if not _finite(raw.view(np.uint32 if entry.dtype.itemsize == 4 else np.uint16), entry.dtype, scratch):
            return False
        matrices[key] = torch.from_numpy(raw).view(entry.dtype).view(entry.shape)
    for (layer, _), place in layout.places.items():
        write_rows(pages, place.a, layout.shape.dtype, [matrices[layer, module, "A"] for module in place.modules])
        for part in place.b:
            write_rows(pages, part.runs, layout.shape.dtype, [matrices[layer, part.module, "B"].t()])
    return True
