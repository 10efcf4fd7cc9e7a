"""What each kernel computes, in float64 and the plainest torch: the oracle of tests/kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kernels.lora import Segment
from kernels.paged import Paging, Rows


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x (rows, in) times weight (out, in), transposed."""
    return x.double() @ weight.double().t()


def rms_norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * gain, over the last axis."""
    x = x.double()
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain.double()


def silu_mul(gate_up: Tensor) -> Tensor:
    """silu(gate) * up of rows (gate, up)."""
    gate, up = gate_up.double().chunk(2, dim=-1)
    return gate * gate.sigmoid() * up


def argmax(x: Tensor) -> tuple[list[int], list[float]]:
    """Index of the first largest value of each row, and that value; NaN where the row holds one."""
    values = x.double()
    found = [row.tolist().index(float(row.max())) if not row.isnan().any() else 0 for row in values]
    return found, [float(row[i]) if not row.isnan().any() else math.nan for row, i in zip(values, found, strict=True)]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Heads x (rows, heads, dim) rotated by cos and signed sin (rows, dim): channel i goes with i + dim / 2."""
    half = x.shape[-1] // 2
    x = x.double()
    swapped = torch.cat((x[..., half:], x[..., :half]), dim=-1)
    return x * cos.double().unsqueeze(1) + swapped * sin.double().unsqueeze(1)


def attention(q: Tensor, pages: Paging, rows: Rows, layer: int) -> Tensor:
    """q (rows, heads, dim) over the keys and values of each row's sequence up to its own position."""
    out = torch.empty_like(q, dtype=torch.float64)
    group = q.shape[1] // pages.kv_heads
    for row, (position, sequence) in enumerate(zip(rows.positions, rows.sequences, strict=True)):
        found = torch.stack(
            [pages.token(rows.page(sequence, p, pages.tokens), layer, p) for p in range(position + 1)]
        ).double()
        keys, values = (t.repeat_interleave(group, 1) for t in found.unbind(1))  # (length, heads, dim)
        weights = (torch.einsum("hd,jhd->hj", q[row].double(), keys) / math.sqrt(q.shape[2])).softmax(-1)
        out[row] = torch.einsum("hj,jhd->hd", weights, values)
    return out


def lora(segments: Sequence[Segment], layer: int, target: str, x: Tensor, y: Tensor) -> Tensor:
    """y plus each segment's (x A^T) B * scale."""
    found = y.double().clone()
    for begin, end, table in segments:
        for m in table.modules.get((layer, target), ()):
            a, b = (torch.cat(list(blocks)).double() for blocks in (m.a, m.b))
            found[begin:end, m.begin : m.begin + m.width] += x[begin:end].double() @ a.t() @ b * m.scale
    return found
