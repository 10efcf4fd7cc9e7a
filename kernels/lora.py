"""Low-rank additions of many adapters in one batch: y[rows] += (x[rows] A^T) B * scale, ranks as they are (S-LoRA, section 5).

An adapter is a table of modules per (layer, target); a module names its rows of A and of B by address, so that they may lie
in pages anywhere: A has `rank` rows of the input's width, B `rank` rows of the output's width (lora_B of PEFT, transposed). A
segment of one row is Punica's BGMV, a longer one SGMV; csrc/lora.h runs both without padding to the largest rank.
Tests: tests/kernels/test_lora.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kernels.library import Batch, LoraAdapter, LoraModule, LoraSegment, load

TARGETS = ("qkv", "proj", "gate_up", "down")


KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 4}  # what rows may be stored as; arithmetic is float32

Blocks = Sequence[Tensor]


@dataclass(frozen=True, slots=True)
class Module:
    """One low-rank addition to columns [begin, begin + width) of a target's output.

    `a` are blocks (n, in) whose rows together are A, `b` blocks (n, width) whose rows together are B transposed: views of
    wherever they lie, each row contiguous, all of one of KINDS. They must outlive the table.
    """

    a: Blocks
    b: Blocks
    begin: int
    scale: float = 1.0

    @property
    def rank(self) -> int:
        """Rows of A and of B."""
        return sum(len(block) for block in self.a)

    @property
    def width(self) -> int:
        """Output columns."""
        return int(self.b[0].shape[1])


def rows_of(blocks: Blocks, begin: int, end: int) -> list[Tensor]:
    """Rows [begin, end) of all that `blocks` hold, as blocks: one module's share where A of several are stored together."""
    found, start = [], 0
    for block in blocks:
        part = block[max(0, begin - start) : max(0, end - start)]
        if len(part):
            found.append(part)
        start += len(block)
    return found


def addresses(blocks: Blocks) -> list[int]:
    """Of each row."""
    found: list[int] = []
    for block in blocks:
        step, start = block.stride(0) * block.element_size(), block.data_ptr()
        found += [start + i * step for i in range(len(block))]
    return found


class Table:
    """An adapter's modules by (layer, target) as the C functions read them; keeps what it points to alive."""

    def __init__(self, layers: int, modules: Mapping[tuple[int, str], Sequence[Module]]) -> None:
        self.modules = modules
        self.width = max((sum(m.rank for m in group) for group in modules.values()), default=0)
        rows: list[int] = []
        shapes: list[tuple[int, Module]] = []  # where a module's rows of A begin; those of B follow
        first = [0]
        for layer in range(layers):
            for target in TARGETS:
                for module in modules.get((layer, target), ()):
                    shapes.append((len(rows), module))
                    rows += addresses(module.a) + addresses(module.b)
                first.append(len(shapes))
        self._rows, self._first = np.array(rows, dtype=np.uint64), np.array(first, dtype=np.int32)
        base = self._rows.ctypes.data
        self._modules = (LoraModule * max(1, len(shapes)))(*(_struct(base + 8 * at, module) for at, module in shapes))
        self.struct = LoraAdapter(ctypes.addressof(self._modules), self._first.ctypes.data)

    @property
    def address(self) -> int:
        """Of the C struct."""
        return ctypes.addressof(self.struct)


def _struct(rows: int, module: Module) -> LoraModule:
    rank, kind = module.rank, KINDS[module.a[0].dtype]
    return LoraModule(rows, rows + 8 * rank, kind, rank, module.begin, module.width, module.scale)


Segment = tuple[int, int, Table]  # rows [begin, end) and their adapter


def segment_structs(segments: Sequence[Segment]) -> ctypes.Array[LoraSegment]:
    """The segments for the C functions; the tables must outlive them."""
    return (LoraSegment * len(segments))(*(LoraSegment(begin, end, table.address) for begin, end, table in segments))


def add(segments: Sequence[Segment], layer: int, target: str, x: Tensor, y: Tensor, use: str = "auto") -> None:
    """y (rows, out) += the adapters' part of x (rows, in), in place; rows outside of all segments stay as they are.

    `use`: c, torch or triton; auto takes triton on CUDA, else c for float32 where the library is.
    """
    if use == "auto":
        use = "triton" if x.is_cuda else "c" if x.dtype == torch.float32 and load() is not None else "torch"
    if use == "c":
        _add_c(segments, layer, target, x, y)
    elif use == "triton":
        from kernels.lora_triton import add_triton

        add_triton(segments, layer, target, x, y)
    else:
        _add_torch(segments, layer, target, x, y)


def _add_c(segments: Sequence[Segment], layer: int, target: str, x: Tensor, y: Tensor) -> None:
    library = load()
    if library is None:
        raise RuntimeError("the C kernels are not there")
    if not segments:
        return
    assert x.is_contiguous() and y.stride(1) == 1
    width = max(1, max(table.width for _, _, table in segments))
    scratch = x.new_empty(len(x), width)
    structs = segment_structs(segments)
    batch = Batch(rows=len(x), segments=len(segments), segment=ctypes.addressof(structs), lora_width=width)
    batch.lora = scratch.data_ptr()
    where = (layer, TARGETS.index(target))
    library.agon_lora(ctypes.byref(batch), *where, x.data_ptr(), x.shape[1], y.data_ptr(), y.stride(0))


def _add_torch(segments: Sequence[Segment], layer: int, target: str, x: Tensor, y: Tensor) -> None:
    """One pair of products per segment and module."""
    for begin, end, table in segments:
        for module in table.modules.get((layer, target), ()):
            a, b = (torch.cat(list(blocks)).to(x.dtype) for blocks in (module.a, module.b))
            y[begin:end, module.begin : module.begin + module.width] += (x[begin:end] @ a.t()) @ b * module.scale
