"""Products with packed matrices: equal to float64, lossless packing, and the same bits for a row in any company."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference
from kernels.linear import KINDS, linear, pack
from tests.kernels.ways import C_WAYS, NO_C, close, randn, threads, using


def weights(kind: str, out: int, inputs: int, seed: int = 0) -> torch.Tensor:
    """A matrix that `kind` holds exactly."""
    rng = torch.Generator().manual_seed(seed)
    if kind == "f32":
        return torch.randn(out, inputs, generator=rng)
    if kind == "bf16":
        return torch.randn(out, inputs, generator=rng).bfloat16().float()
    blocks = (out, inputs // 32, 32)
    scale = (torch.rand(*blocks[:2], 1, generator=rng) * 0.01 + 1e-4).half().float()
    if kind == "q8":
        q = torch.randint(-127, 128, blocks, generator=rng)
        q[..., 0] = 127  # a quantiser maps the largest value of a block to the end of its range
        return (q * scale).view(out, inputs)
    q = torch.randint(0, 16, blocks, generator=rng)
    q[..., 0], q[..., 1] = 0, 15
    low = (-torch.rand(*blocks[:2], 1, generator=rng) * 0.1).half().float()
    return (q * scale + low).view(out, inputs)


def size(x: torch.Tensor, w: torch.Tensor) -> float:
    """Of the largest sum of absolute terms: what rounding is relative to where terms cancel."""
    return float((x.abs() @ w.abs().t()).max()) if x.numel() else 0.0


@pytest.mark.parametrize("way", C_WAYS)
@pytest.mark.parametrize("kind", KINDS)
@given(
    rows=st.integers(0, 150),
    out=st.integers(1, 200),
    blocks=st.integers(1, 6),
    seed=st.integers(0, 99),
    add=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_equals_float64(way, kind, rows, out, blocks, seed, add):
    w, x = weights(kind, out, 32 * blocks, seed), randn(rows, 32 * blocks, seed=seed)
    y = randn(rows, out, seed=seed + 1) if add else None
    wanted = reference.linear(x, w) + (y.double() if add else 0)
    with using(way):
        packed = pack(w)
        assert packed.kind == kind
        assert close(linear(x, packed, y), wanted, scale=size(x, w))
    assert close(linear(x, w), reference.linear(x, w), scale=size(x, w))


@NO_C
@given(rows=st.integers(1, 40), out=st.integers(1, 100), inputs=st.integers(1, 300), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_odd_sizes_stay_float32(rows, out, inputs, seed):
    w, x = weights("f32", out, inputs, seed), randn(rows, inputs, seed=seed)
    packed = pack(w)
    assert packed.kind == "f32"
    assert close(linear(x, packed), reference.linear(x, w), scale=size(x, w))


@pytest.mark.parametrize("way", C_WAYS)
@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.lists(st.integers(0, 63), min_size=1, max_size=140), workers=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_a_row_is_the_same_bits_in_any_company(way, kind, rows, workers):
    """Any batch, any place in it, any number of threads: every row of `x` gives the bits it gives alone."""
    x = randn(64, 320, seed=5)
    with using(way):
        packed = pack(weights(kind, 100, 320, seed=3))
        alone = torch.cat([linear(row.unsqueeze(0), packed) for row in x])
        with threads(workers):
            together = linear(x[rows], packed)
    assert torch.equal(together, alone[rows])


@NO_C
@pytest.mark.parametrize("kind", KINDS)
def test_packing_loses_nothing(kind):
    """A one-hot row reads the weights back: bit for bit, whatever the form."""
    w = weights(kind, 50, 64)
    for kinds in ((kind,), tuple(KINDS)):
        packed = pack(w, kinds)
        assert packed.kind == kind
        assert torch.equal(linear(torch.eye(64), packed), w.t())
    assert packed.nbytes < {"f32": 4.01, "bf16": 2.01, "q8": 1.07, "q4": 0.63}[kind] * 64 * 96 + 64


@NO_C
def test_a_single_value_off_the_lattice_keeps_float32():
    w = weights("q4", 50, 64)
    w[49, 63] += 1e-6
    assert pack(w).kind == "f32"
    with pytest.raises(ValueError, match="q4, q8"):
        pack(w, ("q4", "q8"))


@NO_C
def test_blocks_of_one_value_and_of_zeros():
    w = torch.zeros(3, 64)
    w[1] = 0.5
    packed = pack(w)
    assert packed.kind == "q4"
    assert torch.equal(linear(torch.eye(64), packed), w.t())
