"""All layers of one engine step in one C call: embedding, norms, projections with adapters, rotary embedding, attention, MLP.

The calling thread and `threads` - 1 others work through the stages together (csrc/team.c); Python is not entered in between.
Results equal the torch forward of inference.engine.model to rounding, and are the same bits for a row in any batch.
Tests: tests/inference/engine/test_compiled.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kernels import library
from kernels.linear import Packed
from kernels.lora import Segment, segment_structs
from kernels.paged import Paging, Rows, pages_struct, set_rows


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama-family decoder."""

    hidden: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    eps: float

    @property
    def supported(self) -> bool:
        """Whether the C kernels can run it: whole vectors in a head, whole groups of heads."""
        return self.head_dim % 16 == 0 and self.heads % self.kv_heads == 0


@dataclass(slots=True)
class LayerWeights:
    """One layer, matrices packed."""

    attn_norm: Tensor
    qkv: Packed
    proj: Packed
    mlp_norm: Tensor
    gate_up: Packed
    down: Packed


@dataclass(slots=True)
class Step:
    """Tokens of a step, where they belong, and who has which adapter."""

    ids: Sequence[int]
    rows: Rows
    segments: Sequence[Segment] = ()


class Decoder:
    """A model bound to its pages. One thread at a time."""

    def __init__(
        self,
        shape: Shape,
        rope: tuple[Tensor, Tensor],
        embed: Tensor,
        layers: list[LayerWeights],
        norm: Tensor,
        head: Packed,
        pages: Paging,
        threads: int,
    ) -> None:
        """`rope` is cos and signed sin, each (context, head_dim); `embed` (vocab, hidden); all float32, contiguous."""
        found = library.load()
        if found is None:
            raise RuntimeError("the C kernels are not there")
        self._c, self.shape = found, shape
        self.threads = found.agon_set_threads(threads)
        self._alive = (rope, embed, layers, norm, head, pages)
        self._layers = (library.Layer * len(layers))(*(_layer(layer) for layer in layers))
        self._model = library.Model(
            *(shape.hidden, shape.inner, shape.heads, shape.kv_heads, shape.head_dim, len(layers), shape.vocab),
            shape.eps,
            *(tensor.data_ptr() for tensor in (*rope, embed, norm)),
            head.matrix,
            self._layers,
            pages_struct(pages),
        )
        self._scratch: dict[str, Tensor] = {}

    def forward(self, step: Step) -> Tensor:
        """Write the rows' keys and values to the pages and return the last layer's states, (rows, hidden)."""
        rows, shape = len(step.ids), self.shape
        states = torch.empty(rows, shape.hidden)
        batch = library.Batch(rows=rows, segments=len(step.segments), x=states.data_ptr())
        ids = np.array(step.ids, dtype=np.int32)
        batch.ids = ids.ctypes.data
        arrays = set_rows(batch, step.rows)
        q = shape.heads * shape.head_dim
        widths = {"normed": shape.hidden, "qkv": q + 2 * shape.kv_heads * shape.head_dim, "mixed": q}
        widths |= {"gate_up": 2 * shape.inner, "inner": shape.inner}
        structs = None
        if step.segments:
            structs = segment_structs(step.segments)
            batch.segment = ctypes.addressof(structs)
            batch.lora_width = widths["lora"] = max(1, max(table.width for _, _, table in step.segments))
        for name, width in widths.items():
            setattr(batch, name, self._room(name, rows * width).data_ptr())
        self._c.agon_forward(ctypes.byref(self._model), ctypes.byref(batch))
        del arrays, structs
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores (rows, vocab) of states (rows, hidden)."""
        scores = torch.empty(len(states), self.shape.vocab)
        self._head(states, scores, None, None)
        return scores

    def best(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Index (rows, int32) and score of the likeliest token of each row; the score is NaN where a score of the row is."""
        rows = len(states)
        scores = self._room("logits", rows * self.shape.vocab)
        index, value = torch.empty(rows, dtype=torch.int32), torch.empty(rows)
        self._head(states, scores, index, value)
        return index, value

    def _head(self, states: Tensor, scores: Tensor, index: Tensor | None, value: Tensor | None) -> None:
        states = states.contiguous()
        normed = self._room("normed", states.numel())
        places = [None if t is None else t.data_ptr() for t in (normed, scores, index, value)]
        self._c.agon_logits(ctypes.byref(self._model), states.data_ptr(), len(states), *places)

    def _room(self, name: str, size: int) -> Tensor:
        """Scratch of at least `size` floats that keeps its pages from step to step."""
        room = self._scratch.get(name)
        if room is None or room.numel() < size:
            room = self._scratch[name] = torch.empty(size)
        return room


def _layer(layer: LayerWeights) -> library.Layer:
    packed = (layer.qkv.matrix, layer.proj.matrix, layer.gate_up.matrix, layer.down.matrix)
    return library.Layer(layer.attn_norm.data_ptr(), layer.mlp_norm.data_ptr(), *packed)
