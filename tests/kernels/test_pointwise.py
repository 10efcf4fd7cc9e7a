"""RMSNorm, SiLU times up, argmax: every way equals float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference
from kernels.pointwise import argmax, rms_norm, silu_mul
from tests.kernels.ways import C_WAYS, WAYS, close, randn, threads, using


@pytest.mark.parametrize("way", WAYS)
@given(rows=st.integers(0, 9), width=st.integers(1, 100), size=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_rms_norm(way, rows, width, size, seed):
    x, gain = randn(rows, width, seed=seed) * size, randn(width, seed=seed + 1)
    with using(way) as use:
        assert close(rms_norm(x, gain, 1e-5, use), reference.rms_norm(x, gain, 1e-5))


@pytest.mark.parametrize("way", WAYS)
@given(
    rows=st.integers(0, 5), inner=st.integers(1, 70), size=st.sampled_from([0.1, 3.0, 40.0]), seed=st.integers(0, 99)
)
@settings(max_examples=15, deadline=None)
def test_silu_mul(way, rows, inner, size, seed):
    x = randn(rows, 2 * inner, seed=seed) * size
    with using(way) as use:
        assert close(silu_mul(x, use), reference.silu_mul(x))


@pytest.mark.parametrize("way", WAYS)
def test_silu_of_extremes(way):
    gate = torch.tensor([-1e4, -100.0, -88.0, 0.0, 88.0, 100.0, 1e4] * 5)
    x = torch.cat((gate, torch.ones_like(gate))).unsqueeze(0)
    with using(way) as use:
        assert torch.allclose(silu_mul(x, use).double(), reference.silu_mul(x), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data(), rows=st.integers(1, 5), width=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_argmax(way, data, rows, width):
    """Ties go to the first; a NaN anywhere in a row shows in its value."""
    value = st.sampled_from([-math.inf, -1.5, 0.0, 0.25, 7.0, math.inf, math.nan])
    x = torch.tensor(data.draw(st.lists(st.lists(value, min_size=width, max_size=width), min_size=rows, max_size=rows)))
    with using(way) as use:
        index, best = argmax(x, use)
    wanted = reference.argmax(x)
    for row in range(rows):
        if math.isnan(wanted[1][row]):
            assert math.isnan(best[row])
        else:
            assert (int(index[row]), float(best[row])) == (wanted[0][row], wanted[1][row])


@pytest.mark.parametrize("way", C_WAYS)
@given(picks=st.lists(st.integers(0, 15), min_size=1, max_size=40), workers=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_a_row_is_the_same_bits_in_any_company(way, picks, workers):
    x, gain = randn(16, 90, seed=1), randn(90, seed=2)
    with using(way) as use:
        alone = [(rms_norm(r, gain, 1e-5, use), silu_mul(r, use)) for r in x.split(1)]
        with threads(workers):
            normed, mixed = rms_norm(x[picks], gain, 1e-5, use), silu_mul(x[picks], use)
    for i, pick in enumerate(picks):
        assert torch.equal(normed[i : i + 1], alone[pick][0])
        assert torch.equal(mixed[i : i + 1], alone[pick][1])
