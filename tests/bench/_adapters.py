"""Synthetic adapters of a model, many and cheap: PEFT directories with small seeded weights in 16-bit floats."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.engine.lora import MODULES, dims
from inference.engine.weights import ModelConfig

# Of adapter i: RANKS[i % 4]; in this order 5 and 2,000 adapters have nearly the same mean rank in use.
RANKS = (16, 64, 32, 8)
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")  # those of S-LoRA's settings
SPREAD = 0.02


def shapes(config: ModelConfig, rank: int) -> dict[str, tuple[int, int]]:
    """Tensor name -> shape of an adapter of that rank."""
    widths = dict(zip(MODULES, dims(config), strict=True))
    found = {}
    for layer in range(config.layers):
        for target in TARGETS:
            key = f"base_model.model.model.layers.{layer}.self_attn.{target}.lora_"
            found[f"{key}A.weight"] = rank, widths[target][0]
            found[f"{key}B.weight"] = widths[target][1], rank
    return found


def write(path: Path, config: ModelConfig, rank: int, seed: int) -> int:
    """One PEFT directory; the bytes of its tensors."""
    path.mkdir(parents=True)
    header: dict[str, object] = {}
    at = 0
    for name, shape in shapes(config, rank).items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    values = np.random.Generator(np.random.SFC64(seed)).random(at // 2, dtype=np.float32)
    values -= 0.5
    values *= 2 * SPREAD
    with (path / "adapter_model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(values.astype(np.float16).data)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # cold: the page cache forgets it
    _config(path, rank)
    return at


def _config(path: Path, rank: int) -> None:
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": list(TARGETS), "bias": "none"}
    (path / "adapter_config.json").write_text(json.dumps(config))


def link(path: Path, rank: int, like: Path) -> None:
    """A PEFT directory whose tensors are the file of `like`, an adapter of the same rank: for one that nobody will read."""
    path.mkdir()
    os.link(like / "adapter_model.safetensors", path / "adapter_model.safetensors")
    _config(path, rank)


def forget(root: Path, names: Sequence[str]) -> None:
    """Let the page cache drop the files of these adapters, so that the next read comes from the disk."""
    for name in names:
        descriptor = os.open(root / name / "adapter_model.safetensors", os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
