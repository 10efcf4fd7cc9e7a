"""The cost of a step: the fit finds what made the numbers, and the defaults are those of the published measurements."""

from __future__ import annotations

import json

import pytest

from inference.scheduler.cost_profile import CostProfile
from tests.inference.scheduler import published


def table(profile: CostProfile) -> dict[str, dict[str, tuple[float, float, float]]]:
    """What a machine of this profile would measure."""
    made: dict[str, dict[str, tuple[float, float, float]]] = {}
    for input_len in (8, 64, 256, 512):
        for output_len, batch in ((1, 50), (64, 40), (128, 25), (256, 9)):
            steps = output_len - 1
            total = sum(profile.decode_s(batch, batch * (input_len + k)) for k in range(1, steps + 1))
            made.setdefault(str(input_len), {})[str(output_len)] = (
                batch, profile.prefill_s(input_len), total / batch,
            )  # fmt: skip
    return made


def test_the_fit_finds_the_profile_that_made_the_numbers() -> None:
    true = CostProfile(0.02, 0.0003, 0.000004, 0.0001)
    found = CostProfile.fit(table(true))
    assert (found.step_s, found.request_s) == pytest.approx((true.step_s, true.request_s), rel=1e-6)
    assert (found.context_token_s, found.prefill_token_s) == pytest.approx((true.context_token_s, true.prefill_token_s))


def test_a_table_that_cannot_tell_the_costs_apart_is_refused() -> None:
    one_shape = {"64": {"64": (40.0, 0.014, 0.05), "128": (40.0, 0.014, 0.1)}}
    with pytest.raises(ValueError, match="do not tell the costs apart"):
        CostProfile.fit(one_shape)


def test_the_defaults_follow_the_published_measurements() -> None:
    measured = json.loads(published.file("vtc/cost_profile_a10g.json").read_text())
    fitted, default = CostProfile.fit(measured), CostProfile()
    for input_len, outputs in measured.items():
        for output_len, (batch, _, decode_s) in outputs.items():
            steps = int(output_len) - 1
            if steps < 8:
                continue
            context = batch * (int(input_len) + (steps + 1) / 2)
            step_s = decode_s * batch / steps
            assert default.decode_s(batch, context) == pytest.approx(step_s, rel=0.11)
            assert fitted.decode_s(batch, context) == pytest.approx(step_s, rel=0.11)
    assert fitted.prefill_token_s == pytest.approx(default.prefill_token_s, rel=0.01)
