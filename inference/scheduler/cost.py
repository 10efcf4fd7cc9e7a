"""What service costs (VTC, OSDI'24, section 3.1 and appendix B.2: any h(input, output) that grows with both).

A counter is charged the differences of h, so that a request has paid exactly h(its input, its output) when it ends.
Tests: tests/inference/scheduler/test_cost.py.
"""

from __future__ import annotations

from collections.abc import Callable

# cost(input tokens, output tokens) -> units; must not decrease in either.
Cost = Callable[[int, float], float]


def linear(input_weight: float = 1.0, output_weight: float = 2.0) -> Cost:
    """w_p x input + w_q x output, the paper's default (1, 2). Raises ValueError for weights that are not positive."""
    if min(input_weight, output_weight) <= 0:
        raise ValueError("the weights of input and output must be positive")
    return lambda n_in, n_out: input_weight * n_in + output_weight * n_out


def profiled(n_in: int, n_out: float) -> float:
    """The VTC artifact's fit to Llama-2-7B on an A10G (its cost function "profile")."""
    return 0.2100 * n_in + 0.1008 * n_out + 0.003987 * n_in * n_out + 0.003247 * n_out**2 + 1.146


COSTS: dict[str, Cost] = {"linear": linear(), "profiled": profiled}
