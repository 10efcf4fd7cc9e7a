"""Rotary embedding with the page write, and paged attention, as Triton kernels for GPUs.

Run in Triton's interpreter by tests/kernels/test_attention.py; not yet on a GPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.paged import Paging, Rows

KEYS = 16  # keys per round of the online softmax


@triton.jit
def _rope_scatter(  # type: ignore[no-untyped-def]
    qkv, cos, sin, arena, positions, starts, heads, kv_heads, dim, size: tl.constexpr
):
    """One head of one row: rotated unless it is a value head; keys and values go to the row's token in the arena."""
    row, head = tl.program_id(0), tl.program_id(1)
    at = tl.arange(0, size)
    inside = at < dim
    x = qkv + row * (heads + 2 * kv_heads) * dim + head * dim
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if head < heads + kv_heads:
        half = dim // 2
        other = tl.load(x + tl.where(at < half, at + half, at - half), mask=inside, other=0.0).to(tl.float32)
        turn = tl.load(positions + row) * dim
        c = tl.load(cos + turn + at, mask=inside, other=0.0)
        s = tl.load(sin + turn + at, mask=inside, other=0.0)
        value = value * c + other * s
        tl.debug_barrier()  # both halves are read before either is written
        tl.store(x + at, value.to(qkv.dtype.element_ty), mask=inside)
    if head >= heads:
        to = arena + tl.load(starts + row) + (head - heads) * dim
        tl.store(to + at, value.to(arena.dtype.element_ty), mask=inside)


def rope_scatter_triton(qkv: Tensor, rope: tuple[Tensor, Tensor], pages: Paging, rows: Rows, layer: int) -> None:
    """See kernels.attention.rope_scatter."""
    if not len(qkv):
        return
    spots = zip(rows.sequences, rows.positions, strict=True)
    starts = [pages.offset(rows.page(s, p, pages.tokens), layer, p) for s, p in spots]
    dim = pages.head_dim
    heads = qkv.shape[1] // dim - 2 * pages.kv_heads
    places = [torch.tensor(values, device=qkv.device) for values in (rows.positions, starts)]
    grid = (len(qkv), heads + 2 * pages.kv_heads)
    size = triton.next_power_of_2(dim)
    _rope_scatter[grid](qkv, *rope, pages.arena, *places, heads, pages.kv_heads, dim, size)


@triton.jit
def _attend(  # type: ignore[no-untyped-def]
    qkv, arena, mixed, positions, sequences, first, table,
    page_stride, layer_offset, tokens, heads, kv_heads, dim, scale,
    group: tl.constexpr, group_size: tl.constexpr, dim_size: tl.constexpr, keys: tl.constexpr,
):  # fmt: skip
    """One row and KV head: its `group` query heads over the row's context, `keys` at a time, with an online softmax."""
    row, kv = tl.program_id(0), tl.program_id(1)
    g, d = tl.arange(0, group_size), tl.arange(0, dim_size)
    inside = (g < group)[:, None] & (d < dim)[None, :]
    head_offsets = (kv * group + g)[:, None] * dim + d[None, :]
    q = tl.load(qkv + row * (heads + 2 * kv_heads) * dim + head_offsets, mask=inside, other=0.0).to(tl.float32)
    end = tl.load(positions + row) + 1
    pages = table + tl.load(first + tl.load(sequences + row))
    top = tl.full((group_size,), float("-inf"), tl.float32)
    total = tl.zeros((group_size,), tl.float32)
    acc = tl.zeros((group_size, dim_size), tl.float32)
    for begin in range(0, end, keys):
        j = begin + tl.arange(0, keys)
        live = j < end
        page = tl.load(pages + j // tokens, mask=live, other=0).to(tl.int64)
        token = arena + page * page_stride + layer_offset + (j % tokens) * (2 * kv_heads * dim)
        where = live[:, None] & (d < dim)[None, :]
        k = tl.load(token[:, None] + kv * dim + d[None, :], mask=where, other=0.0).to(tl.float32)
        v = tl.load(token[:, None] + (kv_heads + kv) * dim + d[None, :], mask=where, other=0.0).to(tl.float32)
        s = tl.sum(q[:, None, :] * k[None, :, :], 2) * scale
        s = tl.where(live[None, :], s, float("-inf"))
        new = tl.maximum(top, tl.max(s, 1))
        p = tl.exp(s - new[:, None])
        shrink = tl.exp(top - new)
        total = total * shrink + tl.sum(p, 1)
        acc = acc * shrink[:, None] + tl.sum(p[:, :, None] * v[None, :, :], 1)
        top = new
    result = acc / total[:, None]
    tl.store(mixed + row * heads * dim + head_offsets, result.to(mixed.dtype.element_ty), mask=inside)


def attend_triton(qkv: Tensor, pages: Paging, rows: Rows, layer: int) -> Tensor:
    """See kernels.attention.attend."""
    dim = pages.head_dim
    heads = qkv.shape[1] // dim - 2 * pages.kv_heads
    mixed = qkv.new_empty(len(qkv), heads * dim)
    if not len(qkv):
        return mixed
    group = heads // pages.kv_heads
    given = (rows.positions, rows.sequences, rows.first, rows.table)
    arrays = [torch.tensor(values, dtype=torch.int32, device=qkv.device) for values in given]
    sizes = (pages.page_stride, layer * pages.slab_stride, pages.tokens, heads, pages.kv_heads, dim, dim**-0.5)
    blocks = (group, triton.next_power_of_2(group), triton.next_power_of_2(dim), KEYS)
    _attend[(len(qkv), pages.kv_heads)](qkv, pages.arena, mixed, *arrays, *sizes, *blocks)
    return mixed
