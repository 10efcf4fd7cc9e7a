"""RMSNorm and SiLU times up as Triton kernels for GPUs. Run in Triton's interpreter by tests/kernels; not yet on a GPU."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


@triton.jit
def _rms_norm(x, gain, y, width, eps, size: tl.constexpr):  # type: ignore[no-untyped-def]
    row, at = tl.program_id(0), tl.arange(0, size)
    inside = at < width
    value = tl.load(x + row * width + at, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(value * value, 0) / width + eps)
    result = value * scale * tl.load(gain + at, mask=inside, other=0.0)
    tl.store(y + row * width + at, result.to(y.dtype.element_ty), mask=inside)


def rms_norm_triton(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    """x (rows, width) / sqrt(mean(x^2) + eps) * gain; one program per row."""
    x, y = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    if len(x):
        _rms_norm[(len(x),)](x, gain, y, x.shape[1], eps, triton.next_power_of_2(x.shape[1]))
    return y


@triton.jit
def _silu_mul(gate_up, y, inner, size: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0)
    at = tl.program_id(1) * size + tl.arange(0, size)
    inside = at < inner
    gate = tl.load(gate_up + row * 2 * inner + at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + (row * 2 + 1) * inner + at, mask=inside, other=0.0).to(tl.float32)
    small = tl.exp(-tl.abs(gate))  # never overflows
    sigmoid = tl.where(gate >= 0, 1.0, small) / (1 + small)
    tl.store(y + row * inner + at, (gate * sigmoid * up).to(y.dtype.element_ty), mask=inside)


def silu_mul_triton(gate_up: Tensor) -> Tensor:
    """silu(gate) * up of rows (gate, up) as (rows, inner)."""
    gate_up = gate_up.contiguous()
    rows, inner = gate_up.shape[0], gate_up.shape[1] // 2
    y = gate_up.new_empty(rows, inner)
    if rows and inner:
        _silu_mul[(rows, triton.cdiv(inner, BLOCK))](gate_up, y, inner, BLOCK)
    return y
