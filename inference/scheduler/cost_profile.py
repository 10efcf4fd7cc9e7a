"""What a step of a model costs, for the simulator: a linear model of measured times.

The defaults describe Llama-2-7B on an A10G, fitted to the profile that the VTC artifact publishes (per prompt and output length:
batch, prefill seconds and decode seconds per request); `fit` does the same for such a table of any machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# {input_len: {output_len: (batch, prefill s per request, decode s per request)}}, lengths as decimal strings (JSON keys).
Measurements = Mapping[str, Mapping[str, Sequence[float]]]
MIN_STEPS = 8  # shorter decodes measure start-up, not steps


@dataclass(frozen=True, slots=True)
class CostProfile:
    """Seconds of a decode step (fixed, per running request, per token of context read) and per prefilled token."""

    step_s: float = 0.0153
    request_s: float = 0.000254
    context_token_s: float = 0.00000216
    prefill_token_s: float = 0.000217

    def decode_s(self, batch: int, context: int) -> float:
        """One decode step of `batch` requests that hold `context` tokens together."""
        return self.step_s + self.request_s * batch + self.context_token_s * context

    def prefill_s(self, tokens: int) -> float:
        """One prefill pass over `tokens` tokens that are not cached."""
        return self.prefill_token_s * tokens

    @classmethod
    def fit(cls, table: Measurements) -> CostProfile:
        """Least squares of relative errors of a step; median prefill. Raises ValueError where the table cannot tell the costs."""
        rows, times, prefill = [], [], []
        for input_key, outputs in table.items():
            for output_key, (batch, prefill_s, decode_s) in outputs.items():
                input_len, steps = int(input_key), int(output_key) - 1
                prefill.append(prefill_s / input_len)
                if steps >= MIN_STEPS:
                    rows.append((1.0, batch, batch * (input_len + (steps + 1) / 2)))
                    times.append(decode_s * batch / steps)
        if len(rows) < 3 or np.linalg.matrix_rank(np.array(rows)) < 3:
            raise ValueError(f"these {len(rows)} points of at least {MIN_STEPS} steps do not tell the costs apart")
        relative = np.array(rows) / np.array(times)[:, None]
        solution = np.linalg.lstsq(relative, np.ones(len(rows)), rcond=None)[0]
        step_s, request_s, context_token_s = (float(x) for x in solution)
        found = cls(step_s, request_s, context_token_s, float(np.median(prefill)))
        if min(step_s, request_s, context_token_s, found.prefill_token_s) < 0:
            raise ValueError(f"these measurements give a negative cost: {found}")
        return found
