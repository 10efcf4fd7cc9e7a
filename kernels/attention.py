"""Rotary embedding with the write of keys and values to their pages, and attention over pages: prompts and single tokens alike.

Each by C (float32 on the CPU; csrc/attention.h says in which order it adds), Triton (CUDA) or torch.
Tests: tests/kernels/test_attention.py.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from kernels import library
from kernels.paged import Paging, Rows, pages_struct, set_rows
from kernels.pointwise import chosen


def rope_scatter(
    qkv: Tensor, rope: tuple[Tensor, Tensor], pages: Paging, rows: Rows, layer: int, use: str = "auto"
) -> None:
    """Rotate q and k of qkv (rows, (heads + 2 kv_heads) * dim) in place, then write keys and values to the pages.

    `rope` is cos and signed sin, each (context, dim).
    """
    use = chosen(use, qkv)
    if use == "c":
        _run_c("agon_rope_scatter", qkv, pages, rows, layer, rope=rope)
    elif use == "triton":
        from kernels.attention_triton import rope_scatter_triton

        rope_scatter_triton(qkv, rope, pages, rows, layer)
    else:
        _rope_scatter_torch(qkv, rope, pages, rows, layer)


def attend(qkv: Tensor, pages: Paging, rows: Rows, layer: int, use: str = "auto") -> Tensor:
    """Attention of the queries in qkv (rows, (heads + 2 kv_heads) * dim), rotated, as (rows, heads * dim).

    The pages hold the keys and values of these rows already.
    """
    use = chosen(use, qkv)
    if use == "c":
        return _run_c("agon_attention", qkv, pages, rows, layer)
    if use == "triton":
        from kernels.attention_triton import attend_triton

        return attend_triton(qkv, pages, rows, layer)
    return _attend_torch(qkv, pages, rows, layer)


def query_heads(qkv: Tensor, pages: Paging) -> int:
    """Query heads in a row of qkv."""
    return int(qkv.shape[1]) // pages.head_dim - 2 * pages.kv_heads


def _run_c(
    name: str, qkv: Tensor, pages: Paging, rows: Rows, layer: int, rope: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    found = library.load()
    assert found is not None
    assert qkv.is_contiguous()
    heads, dim = query_heads(qkv, pages), pages.head_dim
    mixed = qkv.new_empty(len(qkv), heads * dim)
    model = library.Model(heads=heads, kv_heads=pages.kv_heads, head_dim=dim, pages=pages_struct(pages))
    if rope is not None:
        model.cos, model.sin = rope[0].data_ptr(), rope[1].data_ptr()
    batch = library.Batch(rows=len(qkv), qkv=qkv.data_ptr(), mixed=mixed.data_ptr())
    arrays = set_rows(batch, rows)
    getattr(found, name)(ctypes.byref(model), ctypes.byref(batch), layer)
    del arrays
    return mixed


def _token_index(pages: Paging, rows: Rows, layer: int) -> list[int]:
    """First item in the arena of each row's token."""
    spots = zip(rows.sequences, rows.positions, strict=True)
    return [pages.offset(rows.page(s, p, pages.tokens), layer, p) for s, p in spots]


def _rope_scatter_torch(qkv: Tensor, rope: tuple[Tensor, Tensor], pages: Paging, rows: Rows, layer: int) -> None:
    dim, q = pages.head_dim, query_heads(qkv, pages) * pages.head_dim
    turned = qkv[:, : q + pages.kv_heads * dim].unflatten(1, (-1, dim))
    at = torch.tensor(rows.positions, dtype=torch.long, device=qkv.device)
    cos, sin = (table[at].unsqueeze(1) for table in rope)
    swapped = torch.cat((turned[..., dim // 2 :], turned[..., : dim // 2]), dim=-1)
    turned.mul_(cos).addcmul_(swapped, sin)
    starts = torch.tensor(_token_index(pages, rows, layer), dtype=torch.long, device=qkv.device)
    at = starts.unsqueeze(1) + torch.arange(pages.token_stride, device=qkv.device)
    pages.arena[at] = qkv[:, q:]


def _attend_torch(qkv: Tensor, pages: Paging, rows: Rows, layer: int) -> Tensor:
    dim, heads = pages.head_dim, query_heads(qkv, pages)
    out = qkv.new_empty(len(qkv), heads * dim)
    for row, (sequence, position) in enumerate(zip(rows.sequences, rows.positions, strict=True)):
        spots = range(position + 1)
        starts = [pages.offset(rows.page(sequence, p, pages.tokens), layer, p) for p in spots]
        at = torch.tensor(starts, device=qkv.device).unsqueeze(1) + torch.arange(pages.token_stride, device=qkv.device)
        keys, values = pages.arena[at].view(position + 1, 2, pages.kv_heads, dim).unbind(1)
        q = qkv[row, : heads * dim].view(pages.kv_heads, -1, dim)  # (kv_heads, group, dim)
        weights = (q @ keys.permute(1, 2, 0) * dim**-0.5).softmax(-1)
        out[row] = (weights @ values.transpose(0, 1)).flatten()
    return out
