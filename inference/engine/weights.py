"""A Llama-family model directory: its configuration checked, its weights mapped and fused.

Reads Hugging Face directories (config.json with *.safetensors, sharded or not); the converter writes the same format.
What the forward pass cannot compute exactly is refused here, by name, rather than computed wrongly.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inference.engine.tensorfile import TensorFile, TensorFileError

ROPE_TYPES = ("default", "linear", "llama3")


class ModelError(ValueError):
    """The model directory cannot be served; the message says why and what would be needed."""


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary embedding: `kind` default, linear (`factor`) or llama3 (all of the rest)."""

    theta: float
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192

    def frequencies(self, head_dim: int) -> Tensor:
        """Radians per position of each pair, (head_dim / 2) in float64."""
        base = self.theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        if self.kind == "linear":
            return base / self.factor
        if self.kind == "llama3":
            turns = self.original_context * base / (2 * math.pi)  # full turns within the original context
            span = self.high_freq_factor - self.low_freq_factor
            keep = ((turns - self.low_freq_factor) / span).clamp(0, 1)
            return base * (keep + (1 - keep) / self.factor)
        return base


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Shape of a Llama-family model."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    norm_eps: float
    rope: Rope
    tied: bool
    eos_ids: tuple[int, ...] = ()

    @property
    def qkv_dims(self) -> tuple[int, int, int]:
        """Rows of the q, k and v projections."""
        return self.heads * self.head_dim, self.kv_heads * self.head_dim, self.kv_heads * self.head_dim


@dataclass(slots=True)
class Layer:
    """Weights of one decoder layer; every matrix is (out, in). `qkv` and `gate_up` are stacked by rows."""

    attn_norm: Tensor
    qkv: Tensor
    out: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


@dataclass(slots=True)
class Weights:
    """All weights of a model. `head` is `embed` itself when the two are tied."""

    embed: Tensor
    layers: list[Layer]
    norm: Tensor
    head: Tensor


def read_config(path: Path) -> ModelConfig:
    """The shape of the model in directory `path`; ModelError when missing or unsupported."""
    raw = _read_json(path / "config.json")
    _refuse_unsupported(raw, path)
    try:
        heads, hidden = raw["num_attention_heads"], raw["hidden_size"]
        return ModelConfig(
            hidden=hidden,
            intermediate=raw["intermediate_size"],
            layers=raw["num_hidden_layers"],
            heads=heads,
            kv_heads=raw.get("num_key_value_heads") or heads,
            head_dim=raw.get("head_dim") or hidden // heads,
            vocab=raw["vocab_size"],
            context=raw["max_position_embeddings"],
            norm_eps=raw.get("rms_norm_eps", 1e-6),
            rope=_rope(raw, path),
            tied=raw.get("tie_word_embeddings", False),
            eos_ids=_eos(raw, path),
        )
    except KeyError as error:
        raise ModelError(f"{path / 'config.json'} has no {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist: a model directory has config.json and *.safetensors") from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object")
    return value


def _refuse_unsupported(raw: dict[str, Any], path: Path) -> None:
    def refuse(what: str) -> None:
        raise ModelError(f"{path / 'config.json'}: {what} is not supported; the engine runs plain Llama-family models")

    if raw.get("model_type") != "llama":
        refuse(f"model_type {raw.get('model_type')!r}")
    if raw.get("hidden_act", "silu") != "silu":
        refuse(f"hidden_act {raw['hidden_act']!r}")
    for flag in ("attention_bias", "mlp_bias"):
        if raw.get(flag):
            refuse(f"{flag} = true")
    if raw.get("quantization_config"):
        refuse("quantization_config (packed weights)")
    if raw.get("pretraining_tp", 1) != 1:
        refuse("pretraining_tp other than 1")


def _rope(raw: dict[str, Any], path: Path) -> Rope:
    """Both spellings: rope_theta with rope_scaling, and the newer rope_parameters."""
    spec = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    kind = spec.get("rope_type", spec.get("type", "default"))
    if kind not in ROPE_TYPES:
        known = ", ".join(ROPE_TYPES)
        raise ModelError(f"{path / 'config.json'}: rope scaling {kind!r} is not supported; known are {known}")
    if spec.get("partial_rotary_factor", raw.get("partial_rotary_factor", 1.0)) != 1.0:
        raise ModelError(f"{path / 'config.json'}: a partial rotary embedding is not supported")
    theta = float(spec.get("rope_theta", raw.get("rope_theta", 10_000.0)))
    if kind == "default":
        return Rope(theta)
    if kind == "linear":
        return Rope(theta, kind, float(spec["factor"]))
    return Rope(
        theta,
        kind,
        float(spec["factor"]),
        float(spec["low_freq_factor"]),
        float(spec["high_freq_factor"]),
        int(spec["original_max_position_embeddings"]),
    )


def _eos(raw: dict[str, Any], path: Path) -> tuple[int, ...]:
    """End-of-sequence ids: generation_config.json knows best, config.json otherwise."""
    generation = path / "generation_config.json"
    value = _read_json(generation).get("eos_token_id") if generation.exists() else None
    value = raw.get("eos_token_id") if value is None else value
    return () if value is None else tuple(value) if isinstance(value, list) else (value,)


def load(path: Path, config: ModelConfig, dtype: torch.dtype, device: torch.device) -> Weights:
    """The weights of directory `path` as `dtype` on `device`: mapped where they already are that, copied otherwise."""
    source = _Source(path, dtype, device)
    layers = [_layer(source, config, index) for index in range(config.layers)]
    embed = source.get(["model.embed_tokens.weight"], (config.vocab, config.hidden))
    norm = source.get(["model.norm.weight"], (config.hidden,))
    head = embed if config.tied else source.get(["lm_head.weight"], (config.vocab, config.hidden))
    source.refuse_rest({"lm_head.weight"} if config.tied else set())
    return Weights(embed, layers, norm, head)


def embedding(path: Path, config: ModelConfig, dtype: torch.dtype) -> Tensor:
    """The embedding table alone, through a mapping of its own: what else was mapped can then leave memory."""
    source = _Source(path, dtype, torch.device("cpu"))
    return source.get(["model.embed_tokens.weight"], (config.vocab, config.hidden)).contiguous()


def _layer(source: _Source, config: ModelConfig, index: int) -> Layer:
    at, hidden, inner = f"model.layers.{index}.", config.hidden, config.intermediate
    return Layer(
        attn_norm=source.get([at + "input_layernorm.weight"], (hidden,)),
        qkv=source.get([f"{at}self_attn.{p}_proj.weight" for p in "qkv"], (sum(config.qkv_dims), hidden)),
        out=source.get([at + "self_attn.o_proj.weight"], (hidden, config.heads * config.head_dim)),
        mlp_norm=source.get([at + "post_attention_layernorm.weight"], (hidden,)),
        gate_up=source.get([f"{at}mlp.{p}_proj.weight" for p in ("gate", "up")], (2 * inner, hidden)),
        down=source.get([at + "mlp.down_proj.weight"], (hidden, inner)),
    )


class _Source:
    """The tensors of a directory by name, over one file or many shards."""

    def __init__(self, path: Path, dtype: torch.dtype, device: torch.device) -> None:
        self.path, self.dtype, self.device = path, dtype, device
        self.files = _open_all(path)
        self.unread = set(self.files)

    def get(self, names: list[str], shape: tuple[int, ...]) -> Tensor:
        """The named tensors stacked by rows, checked to have `shape`."""
        missing = [name for name in names if name not in self.files]
        if missing:
            raise ModelError(f"{self.path}: the weights hold no {missing[0]!r}")
        self.unread.difference_update(names)
        file = self.files[names[0]]
        whole = file.fused(names) if all(self.files[name] is file for name in names) else None
        if whole is None:
            whole = torch.cat([self.files[name].get(name).to(self.dtype) for name in names])
        if tuple(whole.shape) != shape:
            raise ModelError(
                f"{self.path}: {' + '.join(names)} has shape {tuple(whole.shape)}, config.json says {shape}"
            )
        return whole.to(self.device, self.dtype)

    def refuse_rest(self, ignored: set[str]) -> None:
        """Tensors that nobody asked for mean that the model computes more than this engine does."""
        rest = sorted(n for n in self.unread - ignored if not n.endswith("rotary_emb.inv_freq"))
        if rest:
            raise ModelError(f"{self.path}: {len(rest)} tensors are not understood, such as {rest[0]!r} (biases?)")


def _open_all(path: Path) -> dict[str, TensorFile]:
    index = path / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(_read_json(index).get("weight_map", {}).values()))
    else:
        names = ["model.safetensors"]
    found: dict[str, TensorFile] = {}
    for name in names:
        if not (path / name).is_file() or Path(name).name != name:
            raise ModelError(f"{path / name} does not exist: only *.safetensors weights are read")
        try:
            file = TensorFile(path / name)
        except TensorFileError as error:
            raise ModelError(str(error)) from None
        found |= dict.fromkeys(file.entries, file)
    return found
