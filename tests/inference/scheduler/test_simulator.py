"""The simulated engine on traces that can be computed by hand."""

from __future__ import annotations

import pytest

from inference.scheduler.arrivals import Job
from inference.scheduler.cost_profile import CostProfile
from inference.scheduler.engine_model import EngineModel, Result
from inference.scheduler.protocol import PAIR_HOLD_S
from inference.scheduler.registry import make_scheduler
from inference.scheduler.simulator import Simulator

# A step costs 1 s + 0.1 s per request + 0.01 s per token of context; a token of prefill 0.5 s.
ROUND = CostProfile(1.0, 0.1, 0.01, 0.5)


def run(jobs: list[Job], **model: object) -> Result:
    scheduler = make_scheduler("round_robin", max_waiting_per_client=99)
    settings = {"pool_tokens": 1000, "profile": ROUND} | model
    return Simulator(scheduler, EngineModel(**settings)).run(jobs)  # type: ignore[arg-type]


def test_one_request_costs_its_prefill_and_its_steps() -> None:
    result = run([Job(2.0, "a", 10, 3)])
    (served,) = result.served
    assert served.first_token == pytest.approx(2.0 + 5.0)
    assert served.end == pytest.approx(7.0 + (1.1 + 0.11) + (1.1 + 0.12))
    assert (result.prefill_steps, result.decode_steps) == (1, 2)
    assert (result.input_tokens, result.uncached_tokens, result.output_tokens) == (10, 10, 3)
    assert result.tokens_per_step == pytest.approx(13 / 3)
    assert result.peak_tokens == 13


def test_a_reply_of_one_token_ends_with_its_prefill() -> None:
    result = run([Job(0.0, "a", 4, 1)])
    assert result.served[0].end == result.served[0].first_token == pytest.approx(2.0)
    assert result.decode_steps == 0


def test_what_arrives_during_a_step_joins_the_batch_after_it() -> None:
    result = run([Job(0.0, "a", 10, 3), Job(5.5, "b", 2, 2)])
    first, second = result.served
    # a: prefill to 5.0, a step to 6.21; then b's prefill of 1 s; then both make their last token in one step
    assert second.first_token == pytest.approx(6.21 + 1.0)
    assert first.end == second.end == pytest.approx(7.21 + 1.2 + 0.01 * (12 + 3))


def test_the_memory_test_looks_ahead() -> None:
    """Two requests that hold 11 + 11 tokens at first would hold 20 + 20 when they end."""
    jobs = [Job(0.0, "a", 10, 10), Job(0.0, "b", 10, 10)]
    together, apart = run(jobs, pool_tokens=41), run(jobs, pool_tokens=35)
    assert together.served[0].first_token == together.served[1].first_token
    # At a's end, step 9, it holds 20, so b may hold 14 by then: 11 from its own prefill and 3 more, from step 6 on.
    six_steps = sum(1.1 + 0.01 * (11 + k) for k in range(6))
    assert apart.served[1].first_token == pytest.approx(5.0 + six_steps + 5.0)
    assert apart.peak_tokens == 34


def test_a_prefill_pass_has_a_limit_that_one_request_may_exceed() -> None:
    jobs = [Job(0.0, "a", 30, 2), Job(0.0, "b", 6, 2), Job(0.0, "c", 6, 2)]
    a, b, c = run(jobs, prefill_tokens=12).served
    assert a.first_token == pytest.approx(15.0)
    assert b.first_token == c.first_token
    assert b.first_token is not None and b.first_token > a.first_token


def test_the_batch_has_a_limit() -> None:
    served = run([Job(0.0, c, 4, 2) for c in "abc"], max_batch=2).served
    assert served[0].first_token == served[1].first_token
    assert served[2].first_token is not None and served[2].first_token > (served[0].end or 0.0)


def test_admission_every_k_steps() -> None:
    jobs = [Job(0.0, "a", 10, 9), Job(5.5, "b", 2, 2)]
    every, fourth = run(jobs), run(jobs, admit_every=4)
    assert every.served[1].first_token == pytest.approx(5.0 + 1.21 + 1.0)
    assert fourth.served[1].first_token == pytest.approx(5.0 + 1.21 + 1.22 + 1.23 + 1.24 + 1.0)


def test_a_shared_prefix_is_computed_once_while_it_stays() -> None:
    jobs = [Job(0.0, "a", 10, 2, "p", 8), Job(100.0, "b", 12, 2, "p", 8), Job(200.0, "c", 9, 2, "p", 9)]
    result = run(jobs)
    assert [s.uncached for s in result.served] == [10, 4, 1], "c's prefix is one token longer"
    assert result.served[1].first_token == pytest.approx(100.0 + 2.0)


def test_in_one_prefill_pass_the_second_finds_what_the_first_computes() -> None:
    result = run([Job(0.0, "a", 10, 2, "p", 8), Job(0.0, "b", 10, 2, "p", 8)])
    assert [s.uncached for s in result.served] == [10, 2]


def test_prefixes_give_way_least_recently_used_first() -> None:
    jobs = [Job(100.0 * i, "a", 10, 2, prefix, 8) for i, prefix in enumerate("pqprpq")]
    result = run(jobs, pool_tokens=21)  # two prefixes and the rest of one request
    assert [s.uncached for s in result.served] == [10, 10, 2, 10, 2, 10]


def test_a_pair_starts_together_even_when_its_second_half_comes_a_moment_later() -> None:
    first, second = run(
        [Job(1.0, "a", 4, 2, pair="t", pair_size=2), Job(1.03, "a", 6, 2, pair="t", pair_size=2)]
    ).served
    assert first.first_token == second.first_token == pytest.approx(1.03 + 5.0)


def test_half_a_pair_goes_alone_after_the_hold() -> None:
    (only,) = run([Job(1.0, "a", 4, 2, pair="t", pair_size=2)]).served
    assert only.first_token == pytest.approx(1.0 + PAIR_HOLD_S + 2.0)


def test_plans_that_are_too_short_end_in_preemption_of_the_newest_which_goes_on_where_it_was() -> None:
    jobs = [Job(0.0, "a", 10, 30), Job(0.0, "b", 10, 30)]
    result = run(jobs, pool_tokens=60, planned=lambda job: 2, replan_tokens=4)
    first, second = result.served
    assert result.preemptions == 1
    assert result.output_tokens == 60, "no token is made twice"
    assert result.uncached_tokens > result.input_tokens == 20
    assert (first.end or 0.0) < (second.end or 0.0)
    assert result.peak_tokens <= 60
    assert first.first_token == second.first_token


def test_a_cache_of_its_own_bounds_the_prefixes_that_run_at_once() -> None:
    jobs = [Job(0.0, c, 10, 5, c, 8) for c in "abc"]
    a, b, c = run(jobs, pool_tokens=100, cache_tokens=17).served
    assert a.first_token == b.first_token
    assert c.first_token is not None and a.end is not None and c.first_token > a.end
    assert a.uncached == b.uncached == c.uncached == 10


def test_a_prefix_larger_than_the_cache_is_not_cached() -> None:
    result = run([Job(0.0, "a", 10, 2, "p", 8), Job(100.0, "a", 10, 2, "p", 8)], cache_tokens=7)
    assert [s.uncached for s in result.served] == [10, 10]


def test_what_can_never_fit_is_refused_at_once() -> None:
    large, small = run([Job(0.0, "a", 900, 100), Job(0.0, "a", 900, 99)]).served
    assert large.refused == "larger than the pool"
    assert small.end is not None


def test_refusals_of_the_policy_are_counted() -> None:
    scheduler = make_scheduler("round_robin", max_waiting_per_client=1)
    result = Simulator(scheduler, EngineModel(max_batch=1)).run([Job(0.0, "a", 4, 4) for _ in range(3)])
    assert [bool(s.refused) for s in result.served] == [False, True, True]
    assert result.rejected == 2


def test_a_policy_that_starts_nothing_on_an_idle_engine_is_an_error() -> None:
    scheduler = make_scheduler("round_robin")
    scheduler.peek = lambda fits, cached_len, now: ()  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="the policy starts none"):
        Simulator(scheduler, EngineModel()).run([Job(0.0, "a", 4, 4)])


def test_early_abort_drops_what_would_come_too_late_and_the_rest_comes_in_time() -> None:
    """The published bursts of S-LoRA (tests/bench/_slo.py): nobody is served late for one that is given up."""
    jobs = [Job(0.1 * i, f"c{i}", 4, 20) for i in range(12)]
    scheduler = make_scheduler("fcfs", slo_s=6.0, max_waiting=99)
    result = Simulator(scheduler, EngineModel(pool_tokens=100, profile=CostProfile(0.1, 0.1, 0.0, 0.1))).run(jobs)
    aborted = [served for served in result.served if served.refused == "aborted"]
    assert aborted and len(aborted) < len(jobs) and scheduler.waiting() == 0
    assert all(served.first_token is None for served in aborted)
    kept = [served for served in result.served if not served.refused]
    assert all(served.first_token is not None and served.first_token - served.job.at <= 6.0 for served in kept)
    assert all(served.end is not None for served in kept)
