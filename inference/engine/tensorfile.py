"""Safetensors files, memory-mapped: tensors are views of the page cache, and neighbours in the file fuse in place.

Format: an 8-byte little-endian header length, a JSON header (name -> dtype, shape, data_offsets), then raw tensors.
The engine's converter lays out q, k, v and gate, up side by side, so that each group is one matrix in place.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

ALIGN = 64
MAX_HEADER_BYTES = 100_000_000  # the format's own bound
MAX_DIMS, MAX_DIM = 8, 1 << 48  # beyond any tensor; a product of larger ones would only cost time
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class TensorFileError(ValueError):
    """The file is not a readable safetensors file, or holds something else than it says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies: `begin` and `end` are byte offsets from the file's start."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """A read-only safetensors file. Tensors stay valid as long as they are referenced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        size = path.stat().st_size
        self.entries = _read_header(path, size)
        # A private mapping: pages come from the page cache and a stray write could never reach the file.
        self._bytes = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)

    def get(self, name: str) -> Tensor:
        """The tensor of that name; TensorFileError when there is none."""
        return self._view(self.entry(name))

    def entry(self, name: str) -> Entry:
        """Where the tensor of that name lies."""
        try:
            return self.entries[name]
        except KeyError:
            raise TensorFileError(f"{self.path} holds no tensor {name!r}") from None

    def fused(self, names: list[str]) -> Tensor | None:
        """The named (rows_i, columns) matrices stacked as one view, or None when they do not lie side by side."""
        entries = [self.entry(name) for name in names]
        first = entries[0]
        for before, after in itertools.pairwise(entries):
            same = after.dtype == first.dtype and after.shape[1:] == first.shape[1:]
            if not same or after.begin != before.end:
                return None
        rows = sum(entry.shape[0] for entry in entries)
        return self._view(Entry(first.dtype, (rows, *first.shape[1:]), first.begin, entries[-1].end))

    def _view(self, entry: Entry) -> Tensor:
        raw = self._bytes[entry.begin : entry.end]
        if entry.begin % entry.dtype.itemsize:
            raw = raw.clone()
        return raw.view(entry.dtype).view(entry.shape)


def _read_header(path: Path, size: int) -> dict[str, Entry]:
    with path.open("rb") as file:
        return parse_header(header_text(file, path, size), path, size)


def header_text(file: BinaryIO, path: Path, size: int, most: int = MAX_HEADER_BYTES) -> bytes:
    """The JSON header of `file`, of `size` bytes, which may have `most`. TensorFileError when there is none."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, most):
        raise TensorFileError(f"{path} is no safetensors file (header of {length} bytes in a file of {size})")
    return file.read(length)


def parse_header(text: bytes, path: Path | str, size: int) -> dict[str, Entry]:
    """Where each tensor lies in a file of `size` bytes with this header. TensorFileError for anything else."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TensorFileError(f"{path} is no safetensors file: its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise TensorFileError(f"{path} is no safetensors file: its header is no JSON object")
    header.pop("__metadata__", None)
    return {name: _entry(path, name, spec, 8 + len(text), size) for name, spec in header.items()}


def _entry(path: Path | str, name: str, spec: object, base: int, size: int) -> Entry:
    if not isinstance(spec, dict):
        raise TensorFileError(f"{path}: tensor {name!r} is described by no JSON object")
    try:
        dtype = DTYPES[str(spec["dtype"])]
        shape = _whole_numbers(spec["shape"])
        begin, end = (base + n for n in _whole_numbers(spec["data_offsets"]))
    except KeyError as error:
        known = ", ".join(DTYPES)
        raise TensorFileError(f"{path}: tensor {name!r} has {error}; readable dtypes are {known}") from None
    except (TypeError, ValueError):
        raise TensorFileError(f"{path}: tensor {name!r} has no readable shape or data_offsets") from None
    if not base <= begin <= end <= size or end - begin != math.prod(shape) * dtype.itemsize:
        raise TensorFileError(f"{path}: tensor {name!r} does not match its place in the file; is the file truncated?")
    return Entry(dtype, shape, begin, end)


def _whole_numbers(raw: object) -> tuple[int, ...]:
    """A short list of integers from 0. Raises TypeError or ValueError."""
    if not isinstance(raw, list) or len(raw) > MAX_DIMS:
        raise TypeError("no short list")
    if not all(type(n) is int and 0 <= n < MAX_DIM for n in raw):
        raise ValueError("not whole numbers")
    return tuple(raw)


def write(path: Path, shapes: Mapping[str, tuple[int, ...]], arrays: Iterable[np.ndarray]) -> None:
    """Write float32 tensors in the order of `shapes`, taking each from `arrays` in turn (one in memory at a time)."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGN)  # so that the first tensor is aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for (name, shape), array in zip(shapes.items(), arrays, strict=True):
            if array.shape != shape:
                raise TensorFileError(f"tensor {name!r} has shape {array.shape}, announced was {shape}")
            file.write(np.ascontiguousarray(array, dtype="<f4").data)
