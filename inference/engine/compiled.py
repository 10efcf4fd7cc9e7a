"""The forward pass by the C kernels: float32 on the CPU, weights packed at load, one call per step.

Same interface as model.Model, to rounding the same scores; a row's result is the same bits whatever else is in the batch and
however its prompt was cut into chunks. `--kernels` chooses: this, model.py in torch, or triton_model.py.
Tests: tests/inference/engine/test_compiled.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from inference.engine import triton_model, weights
from inference.engine.config import ConfigError, EngineConfig
from inference.engine.model import Chunk, Model
from inference.engine.pages import PagePool
from inference.engine.steps import Steps, flat_rope, paging_of
from inference.engine.triton_model import TritonModel
from inference.engine.weights import ModelConfig
from kernels import library
from kernels.decoder import Decoder, LayerWeights, Shape
from kernels.linear import pack

log = logging.getLogger(__name__)


def make_model(
    config: EngineConfig, shape: ModelConfig, pool: PagePool, context: int
) -> Model | CompiledModel | TritonModel:
    """The model that `config.kernels` asks for; auto: C where it can be, else torch, until Triton has run on a GPU.

    ConfigError when it names one that cannot be; ModelError.
    """
    reasons = {"c": _why_not_c(config, shape), "triton": triton_model.why_not(config.device)}
    if why_not := reasons.get(config.kernels):
        raise ConfigError(f"kernels is {config.kernels!r} but {why_not}; use --kernels auto")
    chosen = config.kernels
    if chosen == "auto":
        chosen = "torch" if reasons["c"] else "c"
    dtype = pool.layout.dtype
    loaded = weights.load(config.model_path, shape, dtype, pool.arena.device)
    if chosen == "torch":
        return Model(shape, loaded, pool, context)
    if chosen == "triton":
        return TritonModel(shape, loaded, pool, context)
    embed = weights.embedding(config.model_path, shape, dtype)
    return CompiledModel(shape, loaded, embed, pool, context, config.threads or torch.get_num_threads())


def _why_not_c(config: EngineConfig, shape: ModelConfig) -> str | None:
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
        rope = flat_rope(config, context, embed)
        library_ = library.load()
        assert library_ is not None
        library_.agon_set_threads(threads)
        layers = []
        while loaded.layers:
            layers.append(_pack(loaded.layers.pop(0)))
        head = pack(loaded.head)
        pages = paging_of(pool)
        norm = loaded.norm.clone()
        self.decoder = Decoder(_shape(config), rope, embed, layers, norm, head, pages, threads)
        self._steps = Steps(config.layers)

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Write the chunks' KV to their pages and return the last layer's states, (T, C), in the order of the chunks."""
        return self.decoder.forward(self._steps.of(chunks))

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores (rows, vocab) in float32 of states (rows, C)."""
        return self.decoder.logits(states)

    @torch.inference_mode()
    def best(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest token of each row and its score."""
        return self.decoder.best(states)


def _pack(layer: weights.Layer) -> LayerWeights:
    return LayerWeights(
        layer.attn_norm.clone(),
        pack(layer.qkv),
        pack(layer.out),
        layer.mlp_norm.clone(),
        pack(layer.gate_up),
        pack(layer.down),
    )
