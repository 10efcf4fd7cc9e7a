"""Adapters from disk into pages: what fits is read to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.engine import peft
from inference.engine.lora import BLOCK
from inference.engine.weights import ModelConfig, read_config
from tests.inference.engine.adapter_pages import PAGE, TENSORS, inspect, packed, unpacked
from tests.inference.engine.tiny import make_adapter


@pytest.fixture(scope="module")
def config(tiny_model: Path) -> ModelConfig:
    return read_config(tiny_model)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rows", [torch.float32, torch.float16, torch.bfloat16, None])
@pytest.mark.parametrize("page", [400, PAGE, 1 << 20])
def test_every_value_arrives_in_its_place(
    tmp_path: Path, config: ModelConfig, stored: Any, rows: Any, page: int
) -> None:
    path = make_adapter(tmp_path / "a", seed=1, rank=5, targets=("q", "v", "gate", "down"))
    tensors = {key: tensor.to(stored) for key, tensor in load_file(path / TENSORS).items()}
    save_file(tensors, path / TENSORS)
    spec = inspect(path, config, dtype=rows)
    assert (spec.scale, spec.shape.rank, spec.shape.dtype) == (2.0, 5, rows or stored)
    found = unpacked(*packed(spec, config, page))
    assert len(found) == len(tensors)
    for (layer, module, side), matrix in found.items():
        name = next(k for k in tensors if f"layers.{layer}." in k and f"{peft.MODULES[module]}.lora_{side}" in k)
        assert torch.equal(matrix, tensors[name].to(rows or stored))


def test_matrices_larger_than_a_block_are_converted_whole(config: ModelConfig) -> None:
    """The block bounds what torch does in one call; nothing is lost at its edges."""
    matrix = torch.randn(600, 96)
    assert matrix.numel() > BLOCK
    page = torch.zeros(matrix.numel() * 2 + 64, dtype=torch.uint8)
    from inference.engine.lora import Run, write_rows

    write_rows([page], [Run(0, 64, 250), Run(0, 64 + 250 * 192, 350)], torch.float16, [matrix[:100], matrix[100:]])
    assert torch.equal(page[64:].view(torch.float16).view(600, 96), matrix.half())
