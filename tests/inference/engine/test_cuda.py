"""The engine on a GPU: the same path, pool and adapters as on the CPU (`make test-gpu`). Never run on a machine without one."""

from __future__ import annotations

import pytest
import torch

from kernels import lora, reference
from kernels.pointwise import argmax, rms_norm, silu_mul
from tests.inference.engine.tiny import check_idle, generate, make_core, sequence

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

PROMPTS = {"base": [5, 6, 7, 8, 9], "all": [5, 6, 7], "attention": [9] * 11, "mlp": [40, 41, 5, 6, 7, 8, 9]}


def said(model, adapters, device: str, **settings) -> dict[str, list[int]]:
    """Greedy tokens of the base model and every adapter in one batch, twice, so that the second time prefixes are reused."""
    core = make_core(model, **({"device": device, "kernels": "torch"} | settings))
    for name, path in adapters.items():
        core.load_adapter(name, path)
    found: dict[str, list[int]] = {}
    for turn in range(2):
        batch = [
            sequence(f"{name}-{turn}", prompt, None if name == "base" else name, max_tokens=6)
            for name, prompt in PROMPTS.items()
        ]
        found |= generate(core, *batch)
    check_idle(core)
    return found


@pytest.mark.parametrize("kernels", ["torch", "triton"])
def test_greedy_tokens_are_those_of_the_cpu(tiny_model, tiny_adapters, kernels):
    assert said(tiny_model, tiny_adapters, "cuda", kernels=kernels) == said(tiny_model, tiny_adapters, "cpu")


def test_adapters_page_in_and_out_of_a_small_pool(tiny_model, tiny_adapters):
    """So few pages that adapters push each other out of the device's memory and come back."""
    small = said(tiny_model, tiny_adapters, "cuda", pages=24, max_running=2)
    assert small == said(tiny_model, tiny_adapters, "cpu")


def test_low_rank_additions_equal_float64():
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(12, 64, generator=rng), torch.randn(12, 48, generator=rng)
    x, y = torch.randn(9, 64, generator=rng), torch.randn(9, 80, generator=rng)

    def segments(device: str) -> list[lora.Segment]:
        module = lora.Module([a[:5].to(device), a[5:].to(device)], [b.to(device)], 16, 0.5)
        return [(2, 7, lora.Table(1, {(0, "qkv"): [module]}))]

    wanted = reference.lora(segments("cpu"), 0, "qkv", x, y)
    on_device, found = segments("cuda"), y.cuda()
    lora.add(on_device, 0, "qkv", x.cuda(), found)
    assert torch.allclose(found.cpu().double(), wanted, atol=1e-4)


def test_pointwise_kernels_equal_float64():
    x, gain = torch.randn(7, 96), torch.randn(96)
    assert torch.allclose(
        rms_norm(x.cuda(), gain.cuda(), 1e-5).cpu().double(), reference.rms_norm(x, gain, 1e-5), atol=1e-5
    )
    assert torch.allclose(silu_mul(x.cuda()).cpu().double(), reference.silu_mul(x), atol=1e-5)
    index, value = argmax(x.cuda())
    assert torch.equal(index.cpu().long(), x.argmax(1)) and torch.equal(value.cpu(), x.amax(1))
