"""The forward pass by the Triton kernels, for GPUs: attention over pages, rotary embedding, norms, adapters; products by torch.

Same interface as model.Model, to rounding the same scores. Without a GPU it runs in Triton's interpreter
(TRITON_INTERPRET=1), for tests. It has not been run on a GPU.
Tests: tests/inference/engine/test_triton_model.py, test_cuda.py.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from inference.engine.model import Chunk
from inference.engine.pages import PagePool
from inference.engine.steps import Steps, flat_rope, paging_of
from inference.engine.weights import Layer, ModelConfig, Weights
from kernels import lora
from kernels.attention import attend, rope_scatter
from kernels.decoder import Step
from kernels.pointwise import rms_norm, silu_mul

USE = "triton"


def why_not(device: str) -> str | None:
    """Why these kernels cannot run on `device`; None when they can."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if device != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return "there is no GPU, and TRITON_INTERPRET is not 1"
    return None


class TritonModel:
    """A loaded model bound to a page pool."""

    def __init__(self, config: ModelConfig, weights: Weights, pool: PagePool, context: int) -> None:
        self.config, self.weights, self.pool = config, weights, pool
        self.device, self.dtype = weights.embed.device, weights.embed.dtype
        self._pages, self._steps = paging_of(pool), Steps(config.layers)
        self._rope = flat_rope(config, context, weights.embed)

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Write the chunks' KV to their pages and return the last layer's states, (T, C), in the order of the chunks."""
        step = self._steps.of(chunks)
        x = embedding(torch.tensor(step.ids, device=self.device), self.weights.embed)
        for index, layer in enumerate(self.weights.layers):
            self._attention(index, layer, x, step)
            self._mlp(index, layer, x, step)
        return x

    def _attention(self, index: int, layer: Layer, x: Tensor, step: Step) -> None:
        h = rms_norm(x, layer.attn_norm, self.config.norm_eps, USE)
        qkv = linear(h, layer.qkv)
        lora.add(step.segments, index, "qkv", h, qkv, USE)
        rope_scatter(qkv, self._rope, self._pages, step.rows, index, USE)
        mixed = attend(qkv, self._pages, step.rows, index, USE)
        lora.add(step.segments, index, "proj", mixed, x, USE)
        x.addmm_(mixed, layer.out.t())

    def _mlp(self, index: int, layer: Layer, x: Tensor, step: Step) -> None:
        h = rms_norm(x, layer.mlp_norm, self.config.norm_eps, USE)
        both = linear(h, layer.gate_up)
        lora.add(step.segments, index, "gate_up", h, both, USE)
        inner = silu_mul(both, USE)
        lora.add(step.segments, index, "down", inner, x, USE)
        x.addmm_(inner, layer.down.t())

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores (rows, vocab) in float32 of states (rows, C)."""
        return linear(rms_norm(states, self.weights.norm, self.config.norm_eps, USE), self.weights.head).float()

    @torch.inference_mode()
    def best(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest token of each row of `states` and its score, which is NaN where any score of the row is."""
        found = self.logits(states).max(dim=-1)
        return found.indices, found.values
