"""The forward pass by the Triton kernels, in their interpreter: the torch forward's tokens, adapters and pages alike."""

from pathlib import Path

import pytest
import torch

from inference.engine import triton_model
from inference.engine.config import ConfigError
from inference.engine.model import Chunk
from inference.engine.triton_model import TritonModel
from tests.inference.engine.tiny import check_idle, generate, make_core, sequence
from tests.kernels.ways import NO_TRITON

PROMPT = list(range(5, 27))


@NO_TRITON
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scores_equal_the_torch_forward(tiny_model: Path, dtype: str) -> None:
    """Prompt in two chunks, then single tokens beside another sequence, over pages that do not lie in order."""
    found = []
    for kernels in ("torch", "triton"):
        core = make_core(tiny_model, kernels=kernels, dtype=dtype)
        pages, other = core.pool.alloc(8)[::-1], core.pool.alloc(2)
        states = [core.model.forward([Chunk(PROMPT[:9], 0, pages)]), core.model.forward([Chunk(PROMPT[9:], 9, pages)])]
        states.append(core.model.forward([Chunk([7], len(PROMPT), pages), Chunk([3, 4], 0, other)]))
        found.append(core.model.logits(torch.cat(states)))
    assert torch.allclose(*found, atol=1e-4 if dtype == "float32" else 0.15)


@NO_TRITON
def test_tokens_of_mixed_adapters_are_those_of_torch(tiny_model: Path, tiny_adapters: dict[str, Path]) -> None:
    """Through the engine: adapters of several ranks in one batch, prefixes reused, pages given back."""
    said = {}
    for kernels in ("torch", "triton"):
        core = make_core(tiny_model, kernels=kernels, max_batch_tokens=24)
        for name, path in tiny_adapters.items():
            core.load_adapter(name, path)
        assert isinstance(core.model, TritonModel) is (kernels == "triton")
        names = [None, *tiny_adapters]
        batch = [sequence(f"{i}", PROMPT[: 10 + i], names[i % len(names)], max_tokens=4) for i in range(4)]
        said[kernels] = generate(core, *batch)
        check_idle(core)
    assert said["triton"] == said["torch"]


def test_what_cannot_be_is_said(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ConfigError, match="kernels is 'triton' but (there is no GPU|triton is not installed)"):
        make_core(tiny_model, kernels="triton")
    monkeypatch.setattr(triton_model.importlib.util, "find_spec", lambda name: None)
    assert triton_model.why_not("cuda") == "triton is not installed"
