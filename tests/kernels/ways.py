"""The ways a kernel can be computed on this machine, and how to ask for one."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported

from kernels import library

LEVELS = library.levels(found) if (found := library.load()) is not None else ()
HAVE_TRITON = importlib.util.find_spec("triton") is not None
NO_C = pytest.mark.skipif(not LEVELS, reason="the C kernels could not be built (no compiler?)")
NO_TRITON = pytest.mark.skipif(not HAVE_TRITON, reason="triton is not installed (it is for Linux alone)")

C_WAYS = [pytest.param(f"c {level}", marks=NO_C) for level in LEVELS or ("none",)]
WAYS = ["torch", *C_WAYS, pytest.param("triton", marks=NO_TRITON)]


@contextmanager
def using(way: str) -> Iterator[str]:
    """The name that the kernels' functions know `way` by; its instruction set is in use inside."""
    name, _, level = way.partition(" ")
    if not level:
        yield name
        return
    assert found is not None
    try:
        assert library.set_level(found, level) == level
        yield name
    finally:
        library.set_level(found, library.LEVELS[-1])


@contextmanager
def threads(count: int) -> Iterator[None]:
    """`count` threads inside, one afterwards."""
    assert found is not None
    try:
        assert found.agon_set_threads(count) == count
        yield
    finally:
        found.agon_set_threads(1)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal float32 numbers of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(found: torch.Tensor, reference: torch.Tensor, rel: float = 2e-6, scale: float = 0.0) -> bool:
    """Whether float32 `found` differs from float64 `reference` by at most `rel` of its largest value (or of `scale`)."""
    if not reference.numel():
        return found.shape == reference.shape
    scale = max(scale, float(reference.abs().max()))
    return found.shape == reference.shape and bool(((found.double() - reference).abs() <= rel * scale + 1e-12).all())
