"""Low-rank additions of many adapters in one batch as Triton kernels for GPUs: shrink, then expand (S-LoRA's MBGMM and MBGMV).

A program takes one (segment, module), a few rows and a few ranks or columns; programs beyond a module's own rank or a
segment's own rows end at once, so nothing is padded to the largest rank. Rows of A and B are found through addresses.
Run in Triton's interpreter by tests/kernels/test_lora.py; not yet on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.lora import Module, Segment, addresses

ROWS, RANKS, COLUMNS, INPUTS = 4, 16, 64, 64


@triton.jit
def _shrink(  # type: ignore[no-untyped-def]
    x, v, addresses, items, inputs, width,
    stored: tl.constexpr, rows: tl.constexpr, ranks: tl.constexpr, step: tl.constexpr,
):  # fmt: skip
    item = items + tl.program_id(0) * 7
    begin, end, rank = tl.load(item), tl.load(item + 1), tl.load(item + 2)
    first, column = tl.load(item + 3), tl.load(item + 4)
    r = begin + tl.program_id(1) * rows + tl.arange(0, rows)
    k = tl.program_id(2) * ranks + tl.arange(0, ranks)
    if (begin + tl.program_id(1) * rows < end) & (tl.program_id(2) * ranks < rank):
        a = tl.load(addresses + first + k, mask=k < rank, other=0).to(tl.pointer_type(stored))
        acc = tl.zeros((rows, ranks), tl.float32)
        for start in range(0, inputs, step):
            i = start + tl.arange(0, step)
            inside = i < inputs
            xs = tl.load(x + r[:, None] * inputs + i[None, :], mask=(r < end)[:, None] & inside[None, :], other=0.0)
            weights = tl.load(a[:, None] + i[None, :], mask=(k < rank)[:, None] & inside[None, :], other=0.0)
            acc += tl.sum(xs.to(tl.float32)[:, None, :] * weights.to(tl.float32)[None, :, :], 2)
        tl.store(v + r[:, None] * width + column + k[None, :], acc, mask=(r < end)[:, None] & (k < rank)[None, :])


@triton.jit
def _expand(  # type: ignore[no-untyped-def]
    y, v, addresses, items, scales, stride, width,
    stored: tl.constexpr, rows: tl.constexpr, ranks: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    item = items + tl.program_id(0) * 7
    begin, end, rank = tl.load(item), tl.load(item + 1), tl.load(item + 2)
    first, column = tl.load(item + 3) + rank, tl.load(item + 4)
    out, out_width = tl.load(item + 5), tl.load(item + 6)
    r = begin + tl.program_id(1) * rows + tl.arange(0, rows)
    c = tl.program_id(2) * columns + tl.arange(0, columns)
    if (begin + tl.program_id(1) * rows < end) & (tl.program_id(2) * columns < out_width):
        acc = tl.zeros((rows, columns), tl.float32)
        for start in range(0, rank, ranks):
            k = start + tl.arange(0, ranks)
            live = k < rank
            b = tl.load(addresses + first + k, mask=live, other=0).to(tl.pointer_type(stored))
            weights = tl.load(b[:, None] + c[None, :], mask=live[:, None] & (c < out_width)[None, :], other=0.0)
            vs = tl.load(
                v + r[:, None] * width + column + k[None, :], mask=(r < end)[:, None] & live[None, :], other=0.0
            )
            acc += tl.sum(vs[:, :, None] * weights.to(tl.float32)[None, :, :], 1)
        to = y + r[:, None] * stride + out + c[None, :]
        where = (r < end)[:, None] & (c < out_width)[None, :]
        old = tl.load(to, mask=where, other=0.0)
        tl.store(to, (old + acc * tl.load(scales + tl.program_id(0))).to(y.dtype.element_ty), mask=where)


STORED = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}

Item = tuple[int, int, Module]  # rows [begin, end) of the batch and what is added to them


def add_triton(segments: Sequence[Segment], layer: int, target: str, x: Tensor, y: Tensor) -> None:
    """See kernels.lora.add. Adapter rows must be on x's device; one launch per dtype that they are stored in."""
    found = [(b, e, m) for b, e, table in segments for m in table.modules.get((layer, target), ()) if e > b]
    for dtype in dict.fromkeys(module.a[0].dtype for _, _, module in found):
        _launch([item for item in found if item[2].a[0].dtype == dtype], STORED[dtype], x.contiguous(), y)


def _launch(found: Sequence[Item], stored: object, x: Tensor, y: Tensor) -> None:
    items: list[list[int]] = []
    rows: list[int] = []
    columns: dict[int, int] = {}
    for begin, end, module in found:
        column = columns.get(begin, 0)  # modules of one segment have their ranks side by side
        columns[begin] = column + module.rank
        items.append([begin, end, module.rank, len(rows), column, module.begin, module.width])
        rows += addresses(module.a) + addresses(module.b)
    width = max(columns.values())
    v = torch.empty(len(x), width, device=x.device)
    where, table = (torch.tensor(values, dtype=torch.int64, device=x.device) for values in (rows, items))
    scales = torch.tensor([module.scale for _, _, module in found], device=x.device)
    tiles = triton.cdiv(max(end - begin for begin, end, _ in found), ROWS)
    grids = [(len(items), tiles, triton.cdiv(max(item[i] for item in items), n)) for i, n in ((2, RANKS), (6, COLUMNS))]
    _shrink[grids[0]](x, v, where, table, x.shape[1], width, stored, ROWS, RANKS, INPUTS)
    _expand[grids[1]](y, v, where, table, scales, y.stride(0), width, stored, ROWS, RANKS, COLUMNS)
