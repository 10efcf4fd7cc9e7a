"""A step as the kernels read it: tokens, their places in the pages, and the rows of each adapter. C and Triton share it.

Tests: tests/inference/engine/test_compiled.py, test_triton_model.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from torch import Tensor

from inference.engine.lora import LoraRows, Place
from inference.engine.model import Chunk, rope_tables
from inference.engine.pages import PagePool
from inference.engine.weights import ModelConfig
from kernels.decoder import Step
from kernels.lora import Module, Segment, Table, rows_of
from kernels.paged import Paging, Rows

TARGETS = {"qkv": "qkv", "out": "proj", "gate_up": "gate_up", "down": "down"}  # the engine's names -> the kernels'


class Steps:
    """Makes the steps of a model with so many layers, and keeps where resident adapters lie."""

    def __init__(self, layers: int) -> None:
        self._layers = layers
        self._tables: WeakKeyDictionary[LoraRows, Table] = WeakKeyDictionary()

    def of(self, chunks: Sequence[Chunk]) -> Step:
        """The step that computes these chunks, in their order."""
        ids: list[int] = []
        rows = Rows([], [], [], [])
        segments: list[Segment] = []
        for number, chunk in enumerate(chunks):
            row = len(ids)
            ids += chunk.ids
            rows.positions += range(chunk.start, chunk.end)
            rows.sequences += [number] * len(chunk.ids)
            rows.first.append(len(rows.table))
            rows.table += chunk.pages
            if chunk.adapter is not None:
                segments.append((row, len(ids), self._table(chunk.adapter)))
        return Step(ids, rows, _merged(segments))

    def _table(self, adapter: LoraRows) -> Table:
        """Where the adapter's rows lie now. What is paged in again is another `LoraRows`."""
        found = self._tables.get(adapter)
        if found is None:
            found = self._tables[adapter] = lora_table(adapter, self._layers)
        return found


def paging_of(pool: PagePool) -> Paging:
    """The pool's KV pages for the kernels."""
    layout = pool.layout
    strides = (layout.slabs * layout.slab_items, layout.slab_items)
    return Paging(pool.arena.view(layout.dtype), *strides, layout.tokens, layout.kv_heads, layout.head_dim)


def flat_rope(config: ModelConfig, context: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """cos and signed sin, each (context, D), on the device and in the dtype of `like`."""
    cos, sin = rope_tables(config, context, like.device, like.dtype)
    return cos.flatten(1).contiguous(), sin.flatten(1).contiguous()


def _merged(segments: list[Segment]) -> list[Segment]:
    """Neighbours with one adapter become one segment."""
    merged: list[Segment] = []
    for begin, end, table in segments:
        if merged and merged[-1][2] is table and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end, table)
        else:
            merged.append((begin, end, table))
    return merged


def lora_table(rows: LoraRows, layers: int) -> Table:
    """An adapter in pages as the kernels read it: each module with its own rank and columns, its rows where they lie."""
    places = rows.layout.places.items()
    return Table(layers, {(layer, TARGETS[target]): _modules(rows, place) for (layer, target), place in places})


def _modules(rows: LoraRows, place: Place) -> list[Module]:
    rank, a = rows.layout.shape.rank, rows.matrix(place.a, place.width)
    return [
        Module(rows_of(a, i * rank, (i + 1) * rank), rows.matrix(part.runs, part.out), part.first, rows.scale)
        for i, part in enumerate(place.b)
    ]
