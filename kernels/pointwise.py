"""Row-wise kernels: RMSNorm, SiLU times up, argmax. Each by C (float32 on the CPU), Triton (CUDA) or torch.

Tests: tests/kernels/test_pointwise.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import rms_norm as torch_rms_norm
from torch.nn.functional import silu

from kernels.library import load


def chosen(use: str, x: Tensor) -> str:
    """`use` itself, or for auto: triton on CUDA, c for float32 where the library is, else torch."""
    if use != "auto":
        return use
    if x.is_cuda:
        return "triton"
    return "c" if x.dtype == torch.float32 and load() is not None else "torch"


def rms_norm(x: Tensor, gain: Tensor, eps: float, use: str = "auto") -> Tensor:
    """x (rows, width) / sqrt(mean(x^2) + eps) * gain."""
    use = chosen(use, x)
    if use == "c":
        library = load()
        assert library is not None
        x, y = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
        library.agon_rms_norm(x.data_ptr(), *x.shape, gain.data_ptr(), eps, y.data_ptr())
        return y
    if use == "triton":
        from kernels.pointwise_triton import rms_norm_triton

        return rms_norm_triton(x, gain, eps)
    return torch_rms_norm(x, (x.shape[-1],), gain, eps)


def silu_mul(gate_up: Tensor, use: str = "auto") -> Tensor:
    """silu(gate) * up of rows (gate, up) as (rows, inner)."""
    use = chosen(use, gate_up)
    if use == "c":
        library = load()
        assert library is not None
        gate_up = gate_up.contiguous()
        rows, inner = gate_up.shape[0], gate_up.shape[1] // 2
        y = gate_up.new_empty(rows, inner)
        library.agon_silu_mul(gate_up.data_ptr(), rows, inner, y.data_ptr())
        return y
    if use == "triton":
        from kernels.pointwise_triton import silu_mul_triton

        return silu_mul_triton(gate_up)
    gate, up = gate_up.chunk(2, dim=-1)
    return silu(gate) * up


def argmax(x: Tensor, use: str = "auto") -> tuple[Tensor, Tensor]:
    """Index of the first largest value of each row of x (rows, width), and the value: NaN where the row holds one."""
    use = chosen(use, x)
    if use == "c":
        library = load()
        assert library is not None
        x = x.contiguous()
        index, value = torch.empty(len(x), dtype=torch.int32), torch.empty(len(x))
        library.agon_argmax(x.data_ptr(), *x.shape, index.data_ptr(), value.data_ptr())
        return index, value
    found = x.max(dim=-1)  # on CUDA, too: one pass over memory, nothing to gain
    return found.indices.int(), found.values
