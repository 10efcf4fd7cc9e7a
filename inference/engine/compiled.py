"""The forward pass by the C kernels: float32 on the CPU, weights packed at load, one call per step.

Same interface as model.Model, to rounding the same scores; a row's result is the same bits whatever else is in the batch and
however its prompt was cut into chunks. `--kernels` chooses between the two.
Tests: tests/inference/engine/test_compiled.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from inference.engine import weights
from inference.engine.config import ConfigError, EngineConfig
from inference.engine.lora import LoraRows, Place
from inference.engine.model import Chunk, Model, rope_tables
from inference.engine.pages import PagePool
from inference.engine.weights import ModelConfig
from kernels import library
from kernels.decoder import Decoder, LayerWeights, Shape, Step
from kernels.linear import pack
from kernels.lora import Module, Segment, Table, rows_of
from kernels.paged import Paging, Rows

log = logging.getLogger(__name__)

TARGETS = {"qkv": "qkv", "out": "proj", "gate_up": "gate_up", "down": "down"}  # the engine's names -> the kernels'


def make_model(config: EngineConfig, shape: ModelConfig, pool: PagePool, context: int) -> Model | CompiledModel:
    """The model that `config.kernels` asks for. ConfigError when it says c and that cannot be; ModelError."""
    why_not = _why_not(config, shape)
    if config.kernels == "c" and why_not:
        raise ConfigError(f"kernels is 'c' but {why_not}; use --kernels auto")
    dtype = pool.layout.dtype
    loaded = weights.load(config.model_path, shape, dtype, pool.arena.device)
    if config.kernels == "torch" or why_not:
        return Model(shape, loaded, pool, context)
    embed = weights.embedding(config.model_path, shape, dtype)
    return CompiledModel(shape, loaded, embed, pool, context, config.threads or torch.get_num_threads())


def _why_not(config: EngineConfig, shape: ModelConfig) -> str | None:
    if config.device != "cpu" or config.dtype != "float32":
        return f"they compute in float32 on the CPU, not {config.dtype} on {config.device}"
    if not _shape(shape).supported:
        return f"they want heads of a multiple of 16 channels, not {shape.head_dim}"
    return None if library.load() is not None else "the C library could not be built (the log says why)"


def _shape(config: ModelConfig) -> Shape:
    sizes = (config.hidden, config.intermediate, config.heads, config.kv_heads, config.head_dim, config.vocab)
    return Shape(*sizes, eps=config.norm_eps)


class CompiledModel:
    """A loaded model bound to a page pool; `loaded` is emptied while its matrices are packed, `embed` stays as it is."""

    def __init__(
        self,
        config: ModelConfig,
        loaded: weights.Weights,
        embed: Tensor,
        pool: PagePool,
        context: int,
        threads: int,
    ) -> None:
        self.config, self.pool, self.dtype, self.device = config, pool, embed.dtype, embed.device
        rope = tuple(table.flatten(1).contiguous() for table in rope_tables(config, context, embed.device, embed.dtype))
        library_ = library.load()
        assert library_ is not None
        library_.agon_set_threads(threads)
        layers = []
        while loaded.layers:
            layers.append(_pack(loaded.layers.pop(0)))
        head = pack(loaded.head)
        layout = pool.layout
        strides = (layout.slabs * layout.slab_items, layout.slab_items)
        pages = Paging(pool.arena.view(embed.dtype), *strides, layout.tokens, layout.kv_heads, layout.head_dim)
        norm = loaded.norm.clone()
        self.decoder = Decoder(_shape(config), (rope[0], rope[1]), embed, layers, norm, head, pages, threads)
        self._tables: WeakKeyDictionary[LoraRows, Table] = WeakKeyDictionary()

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Write the chunks' KV to their pages and return the last layer's states, (T, C), in the order of the chunks."""
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
        return self.decoder.forward(Step(ids, rows, _merged(segments)))

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores (rows, vocab) in float32 of states (rows, C)."""
        return self.decoder.logits(states)

    @torch.inference_mode()
    def best(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest token of each row and its score."""
        return self.decoder.best(states)

    def _table(self, adapter: LoraRows) -> Table:
        """Where the adapter's rows lie now. What is paged in again is another `LoraRows`."""
        found = self._tables.get(adapter)
        if found is None:
            found = self._tables[adapter] = lora_table(adapter, self.config.layers)
        return found


def _merged(segments: list[Segment]) -> list[Segment]:
    """Neighbours with one adapter become one segment."""
    merged: list[Segment] = []
    for begin, end, table in segments:
        if merged and merged[-1][2] is table and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end, table)
        else:
            merged.append((begin, end, table))
    return merged


def _pack(layer: weights.Layer) -> LayerWeights:
    return LayerWeights(
        layer.attn_norm.clone(),
        pack(layer.qkv),
        pack(layer.out),
        layer.mlp_norm.clone(),
        pack(layer.gate_up),
        pack(layer.down),
    )


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
