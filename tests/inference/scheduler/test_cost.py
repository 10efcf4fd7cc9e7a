"""Costs grow with both arguments, and charging differences adds up to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.scheduler.cost import COSTS, linear, profiled


def test_the_papers_default_is_input_plus_twice_the_output() -> None:
    assert COSTS["linear"](100, 30) == 160
    assert linear(3.0, 5.0)(2, 4) == 26


def test_the_profile_is_the_artifacts() -> None:
    assert profiled(0, 0) == 1.146
    assert profiled(100, 50) == pytest.approx(0.21 * 100 + 0.1008 * 50 + 0.003987 * 5000 + 0.003247 * 2500 + 1.146)


@pytest.mark.parametrize("weights", [(0.0, 1.0), (1.0, -1.0)])
def test_weights_must_be_positive(weights: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        linear(*weights)


@pytest.mark.parametrize("name", sorted(COSTS))
@given(n_in=st.integers(0, 5000), n_out=st.integers(0, 500), more=st.integers(0, 50))
def test_no_cost_falls_in_either(name: str, n_in: int, n_out: int, more: int) -> None:
    cost = COSTS[name]
    assert cost(n_in + more, n_out) >= cost(n_in, n_out) >= 0
    assert cost(n_in, n_out + more) >= cost(n_in, n_out)


@pytest.mark.parametrize("name", sorted(COSTS))
@given(n_in=st.integers(0, 5000), n_out=st.integers(0, 300))
def test_differences_add_up(name: str, n_in: int, n_out: int) -> None:
    cost = COSTS[name]
    steps = sum(cost(n_in, n + 1) - cost(n_in, n) for n in range(n_out))
    assert cost(n_in, 0) + steps == pytest.approx(cost(n_in, n_out))
