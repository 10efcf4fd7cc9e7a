"""Adapters of the tiny model as they are read: into pages, and back out of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from inference.engine import packing, peft
from inference.engine.lora import RowMap, row_map
from inference.engine.weights import ModelConfig

PAGE = 2048
TENSORS = "adapter_model.safetensors"


def inspect(path: Path, config: ModelConfig, **changes: Any) -> peft.Spec:
    return peft.inspect(path, config, **({"max_rank": 64, "dtype": torch.float32} | changes))


def packed(spec: peft.Spec, config: ModelConfig, page: int = PAGE) -> tuple[RowMap, list[torch.Tensor]]:
    layout = row_map(config, spec.shape, page)
    image = torch.full((layout.nbytes,), 255, dtype=torch.uint8)
    pages = list(image.split(page))
    packing.pack(spec, config, layout, pages, packing.Scratch())
    return layout, pages


def unpacked(layout: RowMap, pages: list[torch.Tensor]) -> dict[tuple[int, int, str], torch.Tensor]:
    """(layer, module, side) -> matrix as PEFT has it, read back from the pages."""

    def rows(runs: Any, width: int) -> torch.Tensor:
        size = width * layout.shape.dtype.itemsize
        raw = [pages[r.page][r.offset : r.offset + r.rows * size] for r in runs]
        return torch.cat([part.view(layout.shape.dtype).view(-1, width) for part in raw])

    found = {}
    for (layer, _), place in layout.places.items():
        for i, a in enumerate(rows(place.a, place.width).split(layout.shape.rank)):
            found[layer, place.modules[i], "A"] = a
        for part in place.b:
            found[layer, part.module, "B"] = rows(part.runs, part.out).t()
    return found
