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

import torch
from torch import Tensor

from kernels.library import Batch, LoraAdapter, LoraModule, LoraSegment, int32s, load

TARGETS = ("qkv", "proj", "gate_up", "down")


@dataclass(frozen=True, slots=True)
class Module:
    """One low-rank addition to columns [begin, begin + width) of a target's output; rows of A and B as tensors.

    `a` are `rank` tensors (in), `b` `rank` tensors (width), each contiguous float32; they must outlive the table.
    """

    a: Sequence[Tensor]
    b: Sequence[Tensor]
    begin: int
    scale: float = 1.0

    @property
    def rank(self) -> int:
        """Rows of A and of B."""
        return len(self.a)

    @property
    def width(self) -> int:
        """Output columns."""
        return int(self.b[0].shape[0])


class Table:
    """An adapter's modules by (layer, target) as the C functions read them; keeps what it points to alive."""

    def __init__(self, layers: int, modules: Mapping[tuple[int, str], Sequence[Module]]) -> None:
        self.modules = modules
        self.width = max((sum(m.rank for m in group) for group in modules.values()), default=0)
        self._alive: list[object] = []
        flat: list[LoraModule] = []
        first = [0]
        for layer in range(layers):
            for target in TARGETS:
                flat += [self._struct(module) for module in modules.get((layer, target), ())]
                first.append(len(flat))
        self._modules = (LoraModule * max(1, len(flat)))(*flat)
        self._first = int32s(first)
        self.struct = LoraAdapter(ctypes.addressof(self._modules), ctypes.addressof(self._first))

    @property
    def address(self) -> int:
        """Of the C struct."""
        return ctypes.addressof(self.struct)

    def _struct(self, module: Module) -> LoraModule:
        a, b = ((ctypes.c_void_p * module.rank)(*(row.data_ptr() for row in rows)) for rows in (module.a, module.b))
        self._alive += [a, b]
        return LoraModule(
            ctypes.addressof(a), ctypes.addressof(b), module.rank, module.begin, module.width, module.scale
        )


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
            a, b = torch.stack(list(module.a)), torch.stack(list(module.b))
            y[begin:end, module.begin : module.begin + module.width] += (x[begin:end] @ a.t()) @ b * module.scale
