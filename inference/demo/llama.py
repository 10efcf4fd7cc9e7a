"""A dense, differentiable Llama forward with LoRA: just enough to train the demo adapters in plain torch.

The engine's own forward is paged and runs without autograd; this one favours brevity. A test holds the two together.
Shapes: B sequences, T positions, H hidden size, N query heads, M key/value heads, D head size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from inference.engine.weights import ModelConfig

Weights = dict[str, Tensor]  # as in inference.demo.base


class Lora(torch.nn.Module):
    """Low-rank additions to the named projections of every layer: y += (x A^T) B^T * alpha / rank.

    A is (rank, in) and starts as in PEFT (Kaiming uniform), B is (out, rank) and starts at zero, so that an untrained
    adapter changes nothing.
    """

    def __init__(self, weights: Weights, targets: tuple[str, ...], rank: int, alpha: int, seed: int) -> None:
        super().__init__()
        self.rank, self.alpha, self.scale = rank, alpha, alpha / rank
        rng = torch.Generator().manual_seed(seed)
        self.pairs = torch.nn.ParameterDict()
        for name, weight in weights.items():
            module = name.removesuffix(".weight")
            if module.rsplit(".", 1)[-1] in targets:
                out_dim, in_dim = weight.shape
                bound = 1 / math.sqrt(in_dim)
                a = torch.empty(rank, in_dim).uniform_(-bound, bound, generator=rng)
                self.pairs[_key(module, "A")] = torch.nn.Parameter(a)
                self.pairs[_key(module, "B")] = torch.nn.Parameter(torch.zeros(out_dim, rank))

    def add(self, module: str, x: Tensor, y: Tensor) -> Tensor:
        """`y` plus this adapter's contribution of `x` in projection `module`; `y` itself where it has none."""
        key = _key(module, "A")
        if key not in self.pairs:
            return y
        return y + F.linear(F.linear(x, self.pairs[key]), self.pairs[_key(module, "B")]) * self.scale

    def peft_tensors(self) -> dict[str, Tensor]:
        """The matrices by the names that PEFT gives them, in float16."""
        names = {key: key.replace("/", ".") for key in self.pairs}
        return {f"base_model.model.model.{names[k]}.weight": p.detach().half() for k, p in self.pairs.items()}


def _key(module: str, matrix: str) -> str:
    return f"{module}.lora_{matrix}".replace(".", "/")  # ParameterDict allows no dots in its keys


def hidden_states(ids: Tensor, weights: Weights, config: ModelConfig, lora: Lora) -> Tensor:
    """Final normalised states (B, T, H) of token ids (B, T), padded on the right."""
    x = F.embedding(ids, weights["embed_tokens.weight"])
    cos, sin = _rope_tables(ids.shape[1], config)

    def project(module: str, value: Tensor) -> Tensor:
        return lora.add(module, value, F.linear(value, weights[f"{module}.weight"]))

    for layer in range(config.layers):
        at = f"layers.{layer}"
        h = _norm(x, weights[f"{at}.input_layernorm.weight"], config)
        q, k, v = (_heads(project(f"{at}.self_attn.{p}_proj", h), config) for p in "qkv")
        mixed = F.scaled_dot_product_attention(
            _rotate(q, cos, sin), _rotate(k, cos, sin), v, is_causal=True, enable_gqa=True
        )
        x = x + project(f"{at}.self_attn.o_proj", mixed.transpose(1, 2).flatten(2))
        h = _norm(x, weights[f"{at}.post_attention_layernorm.weight"], config)
        gate = F.silu(project(f"{at}.mlp.gate_proj", h)) * project(f"{at}.mlp.up_proj", h)
        x = x + project(f"{at}.mlp.down_proj", gate)
    return _norm(x, weights["norm.weight"], config)


def _norm(x: Tensor, gain: Tensor, config: ModelConfig) -> Tensor:
    return F.rms_norm(x, (config.hidden,), gain, config.norm_eps)


def _heads(x: Tensor, config: ModelConfig) -> Tensor:
    return x.unflatten(-1, (-1, config.head_dim)).transpose(1, 2)  # (B, N or M, T, D)


def _rope_tables(length: int, config: ModelConfig) -> tuple[Tensor, Tensor]:
    positions = torch.arange(length, dtype=torch.float64)
    angles = torch.outer(positions, config.rope.frequencies(config.head_dim)).repeat(1, 2)
    return angles.cos().float(), angles.sin().float()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin
