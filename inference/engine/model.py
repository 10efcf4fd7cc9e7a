"""The forward pass of a Llama-family model over a ragged batch: chunks of prompts and single decode steps, mixed.

Shapes: T tokens of the batch, C hidden size, N query heads, M KV heads, G = N / M, D head size, L context length.
Attention reads keys and values from the page pool. Nothing a sequence's tokens go through depends on the other
sequences: the GEMMs work row by row, attention and adapters sequence by sequence. Only the order of additions inside a
GEMM may change with T, by rounding.
Tests: tests/inference/engine/test_model.py, and test_core.py for the independence of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear, rms_norm, scaled_dot_product_attention, silu

from inference.engine.lora import LoraRows, Segment, add_lora
from inference.engine.pages import PagePool
from inference.engine.weights import Layer, ModelConfig, Weights


@dataclass(frozen=True, slots=True)
class Chunk:
    """The tokens of one sequence in one step: `ids` at positions start, start + 1, ..., their KV in `pages`."""

    ids: Sequence[int]
    start: int
    pages: Sequence[int]
    adapter: LoraRows | None = None

    @property
    def end(self) -> int:
        """Context length after this chunk."""
        return self.start + len(self.ids)


@dataclass(slots=True)
class _Prefill:
    """One chunk of several tokens: its rows of the batch, its slabs, and a mask where earlier context precedes it."""

    rows: slice
    slabs: Tensor
    context: int
    mask: Tensor | None


@dataclass(slots=True)
class _Decode:
    """Single-token chunks of similar context, padded together. `slabs` (B * pages), `mask` (B, 1, 1, L)."""

    rows: Tensor | slice
    count: int
    slabs: Tensor
    mask: Tensor


@dataclass(slots=True)
class _Plan:
    """Everything about a batch that is the same in all layers."""

    ids: Tensor
    cos: Tensor
    sin: Tensor
    slots: Tensor
    prefills: list[_Prefill]
    decodes: list[_Decode]
    segments: list[Segment]


class Model:
    """A loaded model bound to a page pool."""

    def __init__(self, config: ModelConfig, weights: Weights, pool: PagePool, context: int) -> None:
        self.config, self.weights, self.pool = config, weights, pool
        self.device, self.dtype = weights.embed.device, weights.embed.dtype
        self._slabs = pool.slab_table()
        self._rows = pool.token_table()
        self._gathered = self._slabs.new_empty(
            0
        )  # grows to the largest gather; a fresh one per layer costs page faults
        self._cos, self._sin = rope_tables(config, context, self.device, self.dtype)

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Write the chunks' KV to their pages and return the last layer's states, (T, C), in the order of the chunks.

        Chunks of one adapter should be neighbours: each run of equal adapters costs its own small products.
        """
        plan = self._plan(chunks)
        x = embedding(plan.ids, self.weights.embed)
        for index, layer in enumerate(self.weights.layers):
            self._attention(index, layer, x, plan)
            self._mlp(index, layer, x, plan)
        return x

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores (rows, vocab) in float32 of states (rows, C)."""
        return linear(self._norm(states, self.weights.norm), self.weights.head).float()

    @torch.inference_mode()
    def best(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest token of each row of `states` and its score, which is NaN where any score of the row is."""
        found = self.logits(states).max(dim=-1)
        return found.indices, found.values

    def _attention(self, index: int, layer: Layer, x: Tensor, plan: _Plan) -> None:
        c = self.config
        h = self._norm(x, layer.attn_norm)
        qkv = linear(h, layer.qkv)
        add_lora(plan.segments, index, "qkv", h, qkv)
        q_dim, k_dim, _ = c.qkv_dims
        _rotate(qkv[:, : q_dim + k_dim].view(-1, c.heads + c.kv_heads, c.head_dim), plan.cos, plan.sin)
        self._rows.index_copy_(0, plan.slots + index * self.pool.layout.tokens, qkv[:, q_dim:])
        q = qkv[:, :q_dim].view(-1, c.kv_heads, c.heads // c.kv_heads, c.head_dim)
        mixed = self._attend(index, q, plan).view(-1, q_dim)
        add_lora(plan.segments, index, "out", mixed, x)
        x.addmm_(mixed, layer.out.t())

    def _mlp(self, index: int, layer: Layer, x: Tensor, plan: _Plan) -> None:
        h = self._norm(x, layer.mlp_norm)
        both = linear(h, layer.gate_up)
        add_lora(plan.segments, index, "gate_up", h, both)
        gate, up = both.chunk(2, dim=-1)
        inner = silu(gate).mul_(up)
        add_lora(plan.segments, index, "down", inner, x)
        x.addmm_(inner, layer.down.t())

    def _norm(self, x: Tensor, gain: Tensor) -> Tensor:
        return rms_norm(x, (self.config.hidden,), gain, self.config.norm_eps)

    def _attend(self, index: int, q: Tensor, plan: _Plan) -> Tensor:
        """Attention of q (T, M, G, D) over each sequence's pages, (T, M, G, D)."""
        if len(plan.decodes) == 1 and not plan.prefills and isinstance(plan.decodes[0].rows, slice):
            return self._attend_decode(index, q, plan.decodes[0])
        out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
        for item in plan.prefills:
            out[item.rows] = self._attend_prefill(index, q[item.rows], item)
        for group in plan.decodes:
            out[group.rows] = self._attend_decode(index, q[group.rows], group)
        return out

    def _gather(self, index: int, slabs: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one layer, each (count, L, M, D), from slab rows (count * pages); valid until the next."""
        c = self.config
        size = len(slabs) * self._slabs.shape[1]
        if self._gathered.numel() < size:
            self._gathered = self._slabs.new_empty(size)
        found = self._gathered[:size].view(len(slabs), -1)
        torch.index_select(self._slabs, 0, slabs + index, out=found)
        found = found.view(count, -1, 2, c.kv_heads, c.head_dim)
        return found[:, :, 0], found[:, :, 1]

    def _attend_prefill(self, index: int, q: Tensor, item: _Prefill) -> Tensor:
        k, v = (t[0, : item.context].transpose(0, 1) for t in self._gather(index, item.slabs, 1))
        group = q.shape[2]
        k, v = (t.unsqueeze(1).expand(-1, group, -1, -1) for t in (k, v))
        causal = item.mask is None
        mixed = scaled_dot_product_attention(q.permute(1, 2, 0, 3), k, v, item.mask, is_causal=causal)
        return mixed.permute(2, 0, 1, 3)

    def _attend_decode(self, index: int, q: Tensor, group: _Decode) -> Tensor:
        """The G query heads of a KV head stand where query positions usually stand: no copy of K and V per head."""
        k, v = (t.transpose(1, 2) for t in self._gather(index, group.slabs, group.count))
        return scaled_dot_product_attention(q, k, v, group.mask).contiguous()

    def _plan(self, chunks: Sequence[Chunk]) -> _Plan:
        ids = torch.tensor([i for chunk in chunks for i in chunk.ids], device=self.device)
        positions = torch.tensor([p for chunk in chunks for p in range(chunk.start, chunk.end)], device=self.device)
        prefills, singles, row = [], [], 0
        segments: list[Segment] = []
        for chunk in chunks:
            rows = slice(row, row + len(chunk.ids))
            row = rows.stop
            if len(chunk.ids) == 1:
                singles.append((rows.start, chunk))
            else:
                prefills.append(self._plan_prefill(rows, chunk))
            _extend(segments, rows, chunk.adapter)
        decodes = [self._plan_decode(group, row) for group in _by_length(singles, self.pool.layout.tokens)]
        slots = torch.tensor([s for chunk in chunks for s in self._slots(chunk)], device=self.device)
        return _Plan(ids, self._cos[positions], self._sin[positions], slots, prefills, decodes, segments)

    def _slots(self, chunk: Chunk) -> list[int]:
        """Rows of the token table, in layer 0, of a chunk's tokens."""
        tokens, slabs = self.pool.layout.tokens, self.pool.layout.slabs
        return [chunk.pages[p // tokens] * slabs * tokens + p % tokens for p in range(chunk.start, chunk.end)]

    def _plan_prefill(self, rows: slice, chunk: Chunk) -> _Prefill:
        count = -(-chunk.end // self.pool.layout.tokens)
        slabs = torch.tensor(list(chunk.pages[:count]), device=self.device) * self.pool.layout.slabs
        mask = None
        if chunk.start:
            keys = torch.arange(chunk.end, device=self.device)
            mask = keys <= torch.arange(chunk.start, chunk.end, device=self.device).unsqueeze(1)
        return _Prefill(rows, slabs, chunk.end, mask)

    def _plan_decode(self, group: list[tuple[int, Chunk]], total: int) -> _Decode:
        tokens = self.pool.layout.tokens
        width = max(-(-chunk.end // tokens) for _, chunk in group)
        table = [list(chunk.pages[:width]) + [0] * (width - len(chunk.pages)) for _, chunk in group]
        slabs = torch.tensor(table, device=self.device).flatten() * self.pool.layout.slabs
        lengths = torch.tensor([chunk.end for _, chunk in group], device=self.device)
        mask = torch.zeros(len(group), 1, 1, width * tokens, dtype=self.dtype, device=self.device)
        beyond = torch.arange(width * tokens, device=self.device) >= lengths.unsqueeze(1)
        mask.masked_fill_(beyond.view(mask.shape), -torch.inf)
        whole = len(group) == total
        rows = slice(0, total) if whole else torch.tensor([row for row, _ in group], device=self.device)
        return _Decode(rows, len(group), slabs, mask)


def _by_length(singles: list[tuple[int, Chunk]], tokens: int) -> list[list[tuple[int, Chunk]]]:
    """Groups in which padding at most doubles the pages read: contexts of up to 1, 2, 4, ... times four pages."""
    groups: dict[int, list[tuple[int, Chunk]]] = {}
    for row, chunk in singles:
        groups.setdefault(((chunk.end - 1) // (4 * tokens)).bit_length(), []).append((row, chunk))
    return list(groups.values())


def _extend(segments: list[Segment], rows: slice, adapter: LoraRows | None) -> None:
    if adapter is None:
        return
    if segments and segments[-1].lora is adapter and segments[-1].stop == rows.start:
        segments[-1] = Segment(segments[-1].start, rows.stop, adapter)
    else:
        segments.append(Segment(rows.start, rows.stop, adapter))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate heads x (T, heads, D) in place by cos, sin (T, 1, D); the first half of `sin` carries the minus sign."""
    half = x.shape[-1] // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), dim=-1)
    x.mul_(cos).addcmul_(swapped, sin)


def rope_tables(config: ModelConfig, context: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and signed sin, each (context, 1, D)."""
    angles = torch.outer(torch.arange(context, dtype=torch.float64), config.rope.frequencies(config.head_dim))
    cos, sin = angles.cos().repeat(1, 2), torch.cat((-angles.sin(), angles.sin()), dim=1)
    return cos.unsqueeze(1).to(device, dtype), sin.unsqueeze(1).to(device, dtype)
