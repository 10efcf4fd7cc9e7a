"""The engine core on a tiny random model: batches, preemption, aborts, bounds."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.engine.config import ConfigError, EngineConfig
from inference.engine.core import EngineCore
from inference.engine.sequence import RequestError, SamplingParams
from inference.scheduler.registry import make_scheduler
from tests.inference.engine.tiny import check_idle, check_pages, drain, generate, make_core, prompt, sequence

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def alone(tiny_model: Path, tiny_adapters: dict[str, Path]):
    """Tokens of one request served by itself, prompt in one chunk."""
    core = make_core(tiny_model, max_batch_tokens=256, radix=False)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    known: dict[object, list[int]] = {}

    def run(of: int, length: int, adapter: str | None, **params) -> list[int]:
        key = (of, length, adapter, tuple(params.items()))
        if key not in known:
            known[key] = generate(core, sequence("x", prompt(of, length), adapter, **params))["x"]
        return known[key]

    return run


REQUESTS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 60), st.sampled_from([None, "all", "attention", "mlp"])),
    min_size=1,
    max_size=12,
)


@SLOW
@given(
    requests=REQUESTS,
    budget=st.integers(8, 70),
    pages=st.integers(36, 80),
    kernels=st.sampled_from(["auto", "torch"]),
)
def test_greedy_tokens_depend_on_nothing_else(tiny_model, tiny_adapters, alone, requests, budget, pages, kernels):
    """Any company, any chunk size, any number of preemptions: the same tokens as alone, and every page comes back."""
    core = make_core(tiny_model, pages=pages, max_batch_tokens=budget, kernels=kernels)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    together = generate(core, *(sequence(str(i), prompt(s, n), a) for i, (s, n, a) in enumerate(requests)))
    for i, (seed, length, adapter) in enumerate(requests):
        assert together[str(i)] == alone(seed, length, adapter)
    check_idle(core)
    assert core.stats()["output_tokens_total"] == sum(map(len, together.values()))


@SLOW
@given(requests=REQUESTS, pages=st.integers(36, 60))
def test_sampled_tokens_depend_on_nothing_else(tiny_model, tiny_adapters, alone, requests, pages):
    """The same holds for draws: they come from each request's own seed."""
    core = make_core(tiny_model, pages=pages)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    params = {"temperature": 0.8, "top_p": 0.9, "seed": 7}
    together = generate(core, *(sequence(str(i), prompt(s, n), a, **params) for i, (s, n, a) in enumerate(requests)))
    for i, (seed, length, adapter) in enumerate(requests):
        assert together[str(i)] == alone(seed, length, adapter, **params)


@SLOW
@given(data=st.data())
def test_no_page_leaks_in_any_random_run(tiny_model, data):
    """Requests come, go and are aborted at any moment; each ends once, or was aborted, and nothing is left behind."""
    core = make_core(tiny_model, pages=data.draw(st.integers(18, 40)), max_running=4)
    open_ids, aborted, ended, added = set(), set(), [], 0
    for step in range(data.draw(st.integers(5, 40))):
        action = data.draw(st.sampled_from(["add", "add", "abort", "step", "step", "step"]))
        if action == "add":
            seq = sequence(f"r{added}", prompt(added, data.draw(st.integers(1, 40))), client=f"c{added % 3}")
            added += 1
            assert core.add(seq, float(step)).accepted
            open_ids.add(seq.id)
        elif action == "abort" and open_ids:
            victim = data.draw(st.sampled_from(sorted(open_ids)))
            assert core.abort(victim)
            open_ids.remove(victim)
            aborted.add(victim)
        else:
            said = [o.seq_id for o in core.step(float(step)) if o.finish_reason]
            open_ids -= set(said)
            ended += said
        check_pages(core)
    ended += [o.seq_id for o in drain(core, 100.0) if o.finish_reason]
    assert sorted(ended) == sorted({f"r{i}" for i in range(added)} - aborted)
    check_idle(core)


def test_a_small_pool_preempts_and_still_answers(tiny_model, alone):
    core = make_core(tiny_model, pages=20, max_batch_tokens=64)
    together = generate(core, *(sequence(str(i), prompt(i, 20), max_tokens=40) for i in range(6)))
    assert core.stats()["preemptions_total"] > 0
    for i in range(6):
        assert together[str(i)] == alone(i, 20, None, max_tokens=40)


def test_prompts_are_computed_in_chunks_beside_decoding(tiny_model):
    core = make_core(tiny_model, max_batch_tokens=10)
    core.add(sequence("short", prompt(1, 3), max_tokens=30), 0.0)
    core.step(0.0)
    core.add(sequence("long", prompt(2, 60)), 0.0)
    for _ in range(6):
        assert [o.seq_id for o in core.step(0.0)] == ["short"], "the long prompt must not hold up the short request"
    assert [o.seq_id for o in core.step(0.0)] == ["short", "long"]


def test_stop_tokens_and_length(tiny_model, alone):
    tokens = alone(5, 10, None)
    core = make_core(tiny_model)
    core.add(sequence("stops", prompt(5, 10), stop_token_ids=(tokens[3],)), 0.0)
    core.add(sequence("runs", prompt(5, 10), max_tokens=2), 0.0)
    ends = {o.seq_id: o.finish_reason for o in drain(core) if o.finish_reason}
    assert ends == {"stops": "stop", "runs": "length"}
    assert core.stats()["finished_stop_total"] == core.stats()["finished_length_total"] == 1
    assert core.stats()["output_tokens_total"] == tokens.index(tokens[3]) + 1 + 2


def test_logprobs_are_the_models_own(tiny_model):
    core = make_core(tiny_model, max_batch_tokens=8)
    ids = prompt(9, 20)
    core.add(sequence("x", ids, logprobs=3, prompt_logprobs=2, max_tokens=4), 0.0)
    said = drain(core)
    chosen = [o.logprobs[0] for o in said]
    assert [c.token_id for c in chosen] == [o.token_ids[0] for o in said]
    assert all(c.rank == 1 and c.top[0] == (c.token_id, c.logprob) and len(c.top) == 3 for c in chosen)
    scored = said[0].prompt_logprobs
    assert scored[0] is None and [s.token_id for s in scored[1:]] == ids[1:]
    assert all(o.prompt_logprobs is None for o in said[1:])
    whole = make_core(tiny_model, max_batch_tokens=64)
    whole.add(sequence("x", [*ids, *(o.token_ids[0] for o in said)], prompt_logprobs=0, max_tokens=1), 0.0)
    again = drain(whole)[0].prompt_logprobs
    both = [*scored[1:], *chosen]
    assert [a.logprob for a in again[1:]] == pytest.approx([b.logprob for b in both], abs=1e-4)
    assert [a.rank for a in again[1:]] == [b.rank for b in both]


def test_prompt_logprobs_survive_a_preemption(tiny_model):
    core = make_core(tiny_model, pages=20, max_batch_tokens=64)
    for i in range(6):
        core.add(sequence(str(i), prompt(i, 20), max_tokens=40, prompt_logprobs=0), 0.0)
    told = {o.seq_id: o.prompt_logprobs for o in drain(core) if o.prompt_logprobs}
    assert core.stats()["preemptions_total"] > 0
    assert {k: [t.token_id for t in v[1:]] for k, v in told.items()} == {str(i): prompt(i, 20)[1:] for i in range(6)}


def test_requests_that_can_never_be_served_are_refused(tiny_model):
    core = make_core(tiny_model)
    cases = {
        "context": sequence("a", prompt(1, 250)),
        "no tokens": sequence("a", []),
        "token ids": sequence("a", [300]),
        "no adapter 'nobody'": sequence("a", [5], adapter="nobody"),
        "at most 20": sequence("a", [5], logprobs=21),
    }
    for message, seq in cases.items():
        with pytest.raises(RequestError, match=message):
            core.add(seq, 0.0)
    core.add(sequence("a", [5]), 0.0)
    with pytest.raises(RequestError, match="in use"):
        core.add(sequence("a", [5]), 0.0)
    assert not core.abort("unknown")


@pytest.mark.parametrize(
    "field", [{"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"max_tokens": 0}, {"seed": -1}, {"logprobs": -1}]
)
def test_sampling_parameters_have_ranges(field):
    with pytest.raises(RequestError, match=next(iter(field))):
        SamplingParams(**field)


def test_shed_requests_are_told(tiny_model):
    core = EngineCore(EngineConfig(tiny_model, max_running=2), make_scheduler(max_waiting_per_client=8, max_waiting=3))
    for i in range(3):
        assert core.add(sequence(f"greedy{i}", [5], client="greedy"), 0.0).accepted
    assert core.add(sequence("modest", [5], client="modest"), 0.0).accepted
    ends = {o.seq_id: (o.finish_reason, o.error) for o in drain(core) if o.finish_reason}
    shed = [k for k, (reason, _) in ends.items() if reason == "error"]
    assert len(shed) == 1 and shed[0].startswith("greedy") and ends[shed[0]][1].startswith("shed")
    assert ends["modest"] == ("length", None)


def test_early_abort_tells_who_waited_too_long_and_nobody_else(tiny_model):
    core = EngineCore(EngineConfig(tiny_model, max_running=2), make_scheduler(slo_s=6.0, slo_margin_s=0.5))
    for name in ("runs", "too"):
        core.add(sequence(name, [5], client=name, max_tokens=40), 0.0)
    core.step(0.0)
    core.add(sequence("late", [5], client="late"), 0.0)
    assert core.step(5.4)[0].finish_reason is None
    core.add(sequence("young", [5], client="young"), 5.4)
    said = core.step(5.5)
    dropped = [output for output in said if output.dropped]
    assert [(output.seq_id, output.finish_reason) for output in dropped] == [("late", "error")]
    assert {output.seq_id for output in said} == {"late", "runs", "too"}
    assert core.stats()["waiting"] == 1
    assert {o.seq_id for o in drain(core, 5.6) if o.finish_reason == "length"} == {"runs", "too", "young"}
    check_idle(core)


def test_an_engine_in_which_nothing_runs_wakes_for_what_is_held_or_overdue(tiny_model):
    core = EngineCore(EngineConfig(tiny_model, max_running=2), make_scheduler(slo_s=6.0))
    half = sequence("half", [5])
    half.request.pair, half.request.pair_size = "turn", 2
    core.add(half, 1.0)
    assert core.step(1.0) == [] and core.wake_at(1.0) == pytest.approx(1.05)
    assert [output.seq_id for output in core.step(1.05)] == ["half"]


def test_scores_that_are_not_finite_end_only_their_sequence(tiny_model, monkeypatch):
    core = make_core(tiny_model)
    real = core.model.logits
    monkeypatch.setattr(core.model, "logits", lambda states: real(states).index_fill(0, torch.tensor([0]), torch.nan))
    core.add(sequence("bad", [5], logprobs=0), 0.0)
    core.add(sequence("good", [6], max_tokens=1, logprobs=0), 0.0)
    ends = {o.seq_id: o.finish_reason for o in core.step(0.0)}
    assert ends == {"bad": "error", "good": "length"}
    check_idle(core)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"max_context": 300}, "made for 256"),
        ({"max_context": 200, "pages": 10}, "holds 40 tokens"),
        ({"pages": 0}, "pool_bytes"),
        ({"max_batch_tokens": 4}, "max_batch_tokens"),
        ({"max_running": 1}, "max_running"),
        ({"dtype": "float8"}, "dtype"),
        ({"device": "tpu"}, "device"),
        ({"threads": 0}, "threads"),
    ],
)
def test_settings_no_engine_can_run_with(tiny_model, settings_, message):
    with pytest.raises(ConfigError, match=message):
        make_core(tiny_model, **settings_)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_without_a_device_says_so(tiny_model):
    with pytest.raises(ConfigError, match="no CUDA device"):
        make_core(tiny_model, device="cuda")


def test_the_context_default_is_what_the_pool_holds(tiny_model):
    assert make_core(tiny_model, pages=10).context == 40
    assert make_core(tiny_model, pages=400).context == 256


def test_bfloat16_runs_the_same_path(tiny_model, tiny_adapters):
    core = make_core(tiny_model, dtype="bfloat16")
    core.load_adapter("all", tiny_adapters["all"])
    tokens = generate(core, sequence("a", prompt(1, 30)), sequence("b", prompt(2, 5), "all"))
    assert [len(t) for t in tokens.values()] == [12, 12]
    assert core.model.dtype == torch.bfloat16
