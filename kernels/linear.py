"""Products with weight matrices that were packed once: y = x W^T, in float32, row by row the same in any company.

`pack` keeps the float32 values themselves, or, where they came from blocks of 4 or 8 bits or from bfloat16, the smallest form
that gives the same float32 back bit by bit (csrc/pack.c). Without the C library torch multiplies with the matrix as it was.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear as torch_linear

from kernels.library import Matrix, load

KINDS = {"q4": 3, "q8": 2, "bf16": 1, "f32": 0}  # smallest first
ALIGN = 64


@dataclass(slots=True)
class Packed:
    """A packed matrix (out, in) and the C struct that points into it."""

    buffer: Tensor
    matrix: Matrix
    kind: str

    @property
    def nbytes(self) -> int:
        """Memory of the panels."""
        return self.buffer.numel()


def pack(weight: Tensor, kinds: tuple[str, ...] = tuple(KINDS)) -> Packed:
    """`weight` (out, in) float32 in the first of `kinds` that holds it exactly; f32 holds everything. Needs the C library."""
    library = load()
    if library is None:
        raise RuntimeError("packing needs the C kernels")
    weight = weight.float().contiguous()
    out, inputs = weight.shape
    for kind in kinds:
        size = library.agon_packed_bytes(KINDS[kind], out, inputs)
        buffer = torch.empty(size + ALIGN, dtype=torch.uint8)
        start = -buffer.data_ptr() % ALIGN
        if library.agon_pack(weight.data_ptr(), out, inputs, KINDS[kind], buffer.data_ptr() + start):
            return Packed(buffer, Matrix(buffer.data_ptr() + start, out, inputs, KINDS[kind]), kind)
    raise ValueError(f"none of {', '.join(kinds)} holds this matrix exactly")


def linear(x: Tensor, weight: Packed | Tensor, out: Tensor | None = None) -> Tensor:
    """x (rows, in) W^T as (rows, out), added to `out` in place where that is given."""
    if isinstance(weight, Tensor):
        return torch_linear(x, weight) if out is None else out.addmm_(x, weight.t())
    library = load()
    assert library is not None, "a packed matrix implies the library"
    x = x.contiguous()
    y = x.new_empty(len(x), weight.matrix.out) if out is None else out
    library.agon_linear(
        x.data_ptr(), len(x), ctypes.byref(weight.matrix), y.data_ptr(), y.stride(0), int(out is not None)
    )
    return y
