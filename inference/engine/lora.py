"""LoRA adapters in PEFT format, applied per request beside the base weights (S-LoRA, section 4: never merged).

h = x W + (x A) B * scale, the base product batched over everything, the small ones per run of equal adapters. Matrices
of projections that the model fuses are stacked the same way: one A of all ranks, one block-diagonal B, scale included.
Tests: tests/inference/engine/test_lora.py (equal to merged weights, mixed batches equal to each alone).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from inference.engine.tensorfile import TensorFile, TensorFileError
from inference.engine.weights import ModelConfig

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
KEY = re.compile(
    r"base_model\.model\.(?:model\.)?layers\.(?P<layer>\d+)\.(?:self_attn|mlp)\.(?P<module>[a-z]+_proj)"
    r"\.lora_(?P<side>[AB])(?:\.default)?\.weight"
)
FUSED = {  # fused projection of the model -> its parts in order
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "out": ("o_proj",),
    "gate_up": ("gate_proj", "up_proj"),
    "down": ("down_proj",),
}
# Settings that change the arithmetic: any other value than these is refused.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "use_dora": (False, None),
    "bias": ("none", None),
    "fan_in_fan_out": (False, None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "trainable_token_indices": (None, []),
    "layer_replication": (None, []),
    "use_qalora": (False, None),
}

Pairs = dict[tuple[int, str], tuple[Tensor, Tensor]]


class AdapterError(ValueError):
    """The adapter cannot be used with this model; the message says why."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Lora:
    """One adapter, ready to apply. `parts` maps (layer, fused target) to A (R, in) and B (out, R) with the scale in it."""

    name: str
    rank: int
    parts: Pairs

    @property
    def nbytes(self) -> int:
        """Memory of the matrices."""
        return sum(a.nbytes + b.nbytes for a, b in self.parts.values())

    def add(self, layer: int, target: str, x: Tensor, y: Tensor) -> None:
        """y (n, out) += (x A^T) B^T for x (n, in), in place; nothing where the adapter has no such target."""
        pair = self.parts.get((layer, target))
        if pair is not None:
            y.addmm_(linear(x, pair[0]), pair[1].t())


class Adapters:
    """The adapters that requests may name, within bounds on their number and bytes."""

    def __init__(
        self, config: ModelConfig, dtype: torch.dtype, device: torch.device, limit: int, max_bytes: int, max_rank: int
    ) -> None:
        self._config, self._dtype, self._device = config, dtype, device
        self._limit, self._max_bytes, self._max_rank = limit, max_bytes, max_rank
        self._loaded: dict[str, Lora] = {}

    def load(self, name: str, path: Path) -> None:
        """Read the PEFT directory `path` as `name`; AdapterError when it does not fit the model or the bounds."""
        if not name or name in self._loaded:
            raise AdapterError(f"adapter name {name!r} is empty or taken; unload the other first")
        if len(self._loaded) >= self._limit:
            raise AdapterError(f"{self._limit} adapters are loaded, which is max_adapters; unload one first")
        lora = read(name, path, self._config, self._dtype, self._device, self._max_rank)
        if self.nbytes + lora.nbytes > self._max_bytes:
            raise AdapterError(f"adapter {name!r} needs {lora.nbytes} bytes, over what is left of {self._max_bytes}")
        self._loaded[name] = lora

    def unload(self, name: str) -> None:
        """Forget `name`; requests already accepted finish with it. AdapterError when unknown."""
        if name not in self._loaded:
            raise AdapterError(f"no adapter {name!r} is loaded")
        del self._loaded[name]

    def get(self, name: str) -> Lora:
        """The adapter of that name; AdapterError when unknown."""
        if name not in self._loaded:
            raise AdapterError(f"no adapter {name!r} is loaded; loaded are: {', '.join(self.names()) or 'none'}")
        return self._loaded[name]

    def names(self) -> list[str]:
        """Loaded adapters, sorted."""
        return sorted(self._loaded)

    @property
    def nbytes(self) -> int:
        """Memory of all loaded adapters."""
        return sum(lora.nbytes for lora in self._loaded.values())


def read(name: str, path: Path, config: ModelConfig, dtype: torch.dtype, device: torch.device, max_rank: int) -> Lora:
    """The adapter in PEFT directory `path`, checked against the base model and fused."""
    rank, scale = _read_config(path / CONFIG, max_rank)
    tensors = _read_tensors(path / TENSORS, config, rank)
    parts: Pairs = {}
    for layer in range(config.layers):
        for target, modules in FUSED.items():
            pair = _fuse(layer, modules, tensors, config, rank)
            if pair is not None:
                parts[layer, target] = (pair[0].to(device, dtype), (pair[1] * scale).to(device, dtype))
    return Lora(name, rank, parts)


def _read_config(path: Path, max_rank: int) -> tuple[int, float]:
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AdapterError(
            f"{path} does not exist: an adapter is a PEFT directory with {CONFIG} and {TENSORS}"
        ) from None
    except ValueError as error:
        raise AdapterError(f"{path} is not JSON: {error}") from None
    if raw.get("peft_type") != "LORA":
        raise AdapterError(f"{path}: peft_type {raw.get('peft_type')!r} is not supported, only 'LORA'")
    for setting, neutral in NEUTRAL.items():
        if setting in raw and raw[setting] not in neutral:
            raise AdapterError(f"{path}: {setting} = {raw[setting]!r} is not supported")
    rank, alpha = raw.get("r"), raw.get("lora_alpha")
    if not isinstance(rank, int) or not 1 <= rank <= max_rank:
        raise AdapterError(f"{path}: rank r = {rank!r} must be an integer between 1 and {max_rank} (max_adapter_rank)")
    if not isinstance(alpha, int | float):
        raise AdapterError(f"{path}: lora_alpha = {alpha!r} must be a number")
    return rank, alpha / (math.sqrt(rank) if raw.get("use_rslora") else rank)


def _read_tensors(path: Path, config: ModelConfig, rank: int) -> dict[tuple[int, str, str], Tensor]:
    """(layer, module, side) -> float32 matrix, each checked for shape and for its partner."""
    if not path.is_file():
        raise AdapterError(f"{path} does not exist: only safetensors adapters are read, never pickles")
    try:
        file = TensorFile(path)
    except TensorFileError as error:
        raise AdapterError(str(error)) from None
    found: dict[tuple[int, str, str], Tensor] = {}
    for key in file.entries:
        match = KEY.fullmatch(key)
        if match is None or match["module"] not in _dims(config) or int(match["layer"]) >= config.layers:
            raise AdapterError(f"{path}: tensor {key!r} has no place in a model of {config.layers} Llama layers")
        tensor = file.get(key).float()
        _check_shape(path, key, tensor, match["side"], _dims(config)[match["module"]], rank)
        found[int(match["layer"]), match["module"], match["side"]] = tensor
    for layer, module, side in found:
        if (layer, module, "B" if side == "A" else "A") not in found:
            raise AdapterError(f"{path}: layer {layer} has lora_{side} of {module} without its partner")
    if not found:
        raise AdapterError(f"{path} holds no tensors")
    return found


def _check_shape(path: Path, key: str, tensor: Tensor, side: str, dims: tuple[int, int], rank: int) -> None:
    wanted = (rank, dims[0]) if side == "A" else (dims[1], rank)
    if tuple(tensor.shape) != wanted:
        raise AdapterError(f"{path}: {key} has shape {tuple(tensor.shape)}; rank and base model want {wanted}")
    if not bool(torch.isfinite(tensor).all()):
        raise AdapterError(f"{path}: {key} holds values that are not finite")


def _dims(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """(in, out) of each projection."""
    (q, k, v), c, inner = config.qkv_dims, config.hidden, config.intermediate
    attention = {"q_proj": (c, q), "k_proj": (c, k), "v_proj": (c, v), "o_proj": (q, c)}
    return attention | {"gate_proj": (c, inner), "up_proj": (c, inner), "down_proj": (inner, c)}


def _fuse(
    layer: int,
    modules: tuple[str, ...],
    tensors: dict[tuple[int, str, str], Tensor],
    config: ModelConfig,
    rank: int,
) -> tuple[Tensor, Tensor] | None:
    """A of all targeted modules stacked, B block-diagonal with zero rows for modules without the adapter."""
    present = [m for m in modules if (layer, m, "A") in tensors]
    if not present:
        return None
    dims = _dims(config)
    a = torch.cat([tensors[layer, m, "A"] for m in present])
    b = torch.zeros(sum(dims[m][1] for m in modules), a.shape[0])
    row = 0
    for module in modules:
        if module in present:
            column = present.index(module) * rank
            b[row : row + dims[module][1], column : column + rank] = tensors[layer, module, "B"]
        row += dims[module][1]
    return a, b
