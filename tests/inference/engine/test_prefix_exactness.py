"""Reuse of prefixes changes no token, whatever is aborted or preempted, and every page comes back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.inference.engine.tiny import check_idle, check_pages, computed, drain, generate, make_core, prompt, sequence

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ADAPTERS = (None, "all", "attention", "mlp")
SALTS = ("visitor", "judge")


@pytest.fixture(scope="module")
def alone(tiny_model: Path, tiny_adapters: dict[str, Path]):
    """Greedy tokens of a prompt served by itself in one chunk, nothing reused."""
    core = make_core(tiny_model, max_batch_tokens=256, radix=False)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    known: dict[object, list[int]] = {}

    def run(ids: list[int], adapter: str | None, length: int) -> list[int]:
        if (key := (tuple(ids), adapter)) not in known:
            known[key] = generate(core, sequence("x", ids, adapter, max_tokens=20))["x"]
        return known[key][:length]

    return run


# A prompt: pages of which there are two kinds, so that prompts part and meet again anywhere; how many tokens end it, which.
PROMPTS = st.tuples(st.lists(st.integers(0, 1), max_size=13), st.integers(1, 18), st.integers(0, 2))
REQUESTS = st.lists(
    st.tuples(
        PROMPTS,
        st.sampled_from([None, None, None, "all", "mlp"]),
        st.sampled_from(["visitor", "visitor", "judge"]),
        st.integers(1, 20),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=16,
)
ABORTS = st.dictionaries(st.integers(0, 120), st.integers(0, 15), max_size=12)  # at which step, which of those there


def ids_of(shape: tuple[list[int], int, int]) -> list[int]:
    pages, own, tail = shape
    return [token for page in pages for token in prompt(page, 4)] + (prompt(tail, 4) * 5)[:own]


@SLOW
@given(requests=REQUESTS, budget=st.integers(8, 70), pages=st.integers(40, 96), aborts=ABORTS)
def test_reuse_changes_no_token(tiny_model, tiny_adapters, alone, requests, budget, pages, aborts):
    """Shared beginnings, any company, chunk size and memory, arrivals and aborts at any time: the tokens of each alone.

    Aborts are drawn before: when an adapter is there is a matter of threads, so a run is not the same twice.
    """
    core = make_core(tiny_model, pages=pages, max_batch_tokens=budget)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    arrivals = sorted(enumerate(requests), key=lambda item: item[1][4])
    said: dict[str, list[int]] = {}
    wanted: dict[str, tuple] = {}
    for now in range(500):
        while arrivals and arrivals[0][1][4] <= now:
            i, (shape, adapter, salt, length, _) = arrivals.pop(0)
            core.add(sequence(str(i), ids_of(shape), adapter, salt=salt, max_tokens=length), float(now))
            wanted[str(i)], said[str(i)] = (shape, adapter, length), []
        if wanted and now in aborts:
            victim = sorted(wanted)[aborts[now] % len(wanted)]
            if core.abort(victim):
                del wanted[victim]
        for output in core.step(float(now)):
            said[output.seq_id] += output.token_ids
        check_pages(core)
        if not arrivals and not core.has_work():
            break
    for name, (shape, adapter, length) in wanted.items():
        assert said[name] == alone(ids_of(shape), adapter, length)
    check_idle(core)


@SLOW
@given(
    turns=st.lists(st.tuples(st.integers(1, 25), st.integers(1, 15)), min_size=2, max_size=4), pages=st.integers(40, 80)
)
def test_a_conversation_says_the_same_with_reuse(tiny_model, turns, pages):
    """Each turn's prompt is the one before, its reply and something new."""
    on, off = make_core(tiny_model, pages=pages), make_core(tiny_model, pages=pages, radix=False)
    ids: list[int] = []
    for i, (own, length) in enumerate(turns):
        ids += prompt(i, own)
        reply = generate(on, sequence(str(i), ids, max_tokens=length))[str(i)]
        assert reply == generate(off, sequence(str(i), ids, max_tokens=length))[str(i)]
        ids += reply
    assert computed(on) <= computed(off)
    check_idle(on)


@pytest.mark.demo_model
def test_the_demo_model_says_the_same_with_reuse(demo_model):
    rng = random.Random(7)
    shared = rng.choices(range(3, 49_000), k=50)
    prompts = [shared + rng.choices(range(3, 49_000), k=5 + i) for i in range(4)]
    found = []
    for radix in (True, False):
        core = make_core(demo_model, page_tokens=16, pool_bytes=64 << 20, max_batch_tokens=32, radix=radix)
        seqs = [sequence(str(i), ids, max_tokens=5) for i, ids in enumerate(prompts)]
        found.append([generate(core, *seqs[:2]), generate(core, *seqs[2:])])
        check_idle(core)
        assert core.stats()["cached_tokens_total"] == (3 * 48 if radix else 0)
    assert found[0] == found[1]


def test_waiting_for_a_first_that_is_aborted_ends(tiny_model, alone):
    core = make_core(tiny_model, max_batch_tokens=8)
    shared = prompt(1, 60)
    for name in "abc":
        core.add(sequence(name, shared + prompt(ord(name), 5)), 0.0)
    for _ in range(3):
        core.step(0.0)
    assert core._batch.running["a"].num_computed == 24
    assert core._batch.running["b"].num_computed == core._batch.running["c"].num_computed == 0
    core.abort("a")
    said: dict[str, list[int]] = {"b": [], "c": []}
    for output in drain(core):
        said[output.seq_id] += output.token_ids
    assert said == {name: alone(shared + prompt(ord(name), 5), None, 12) for name in "bc"}
    assert core.stats()["cached_tokens_total"] == 24 + 60, "b found what a had computed, c what b had"
    check_idle(core)


def test_a_preempted_sequence_finds_its_own_pages_again(tiny_model, alone):
    core = make_core(tiny_model, pages=20, max_batch_tokens=64)
    together = generate(core, *(sequence(str(i), prompt(i, 20), max_tokens=20) for i in range(6)))
    assert core.stats()["preemptions_total"] > 0
    assert computed(core) < sum(40 - 1 for _ in range(6)) + core.stats()["preemptions_total"] * 39, "not from the start"
    assert together == {str(i): alone(prompt(i, 20), None, 20) for i in range(6)}
    check_idle(core)


@pytest.mark.slow
def test_ten_thousand_requests_leave_nothing_behind(tiny_model, tiny_adapters):
    """Random prompts with common beginnings, adapters, salts, lengths and aborts in a small pool: every page comes back."""
    core, rng = make_core(tiny_model, pages=60, max_running=8), random.Random(3)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    added, ended, aborted = 0, set(), set()
    while added < 10_000 or core.has_work():
        while added < 10_000 and core.stats()["waiting"] < 6:
            ids = prompt(rng.randrange(4), 40)[: rng.randrange(30)] + prompt(rng.randrange(1000), rng.randint(1, 12))
            seq = sequence(str(added), ids, rng.choice(ADAPTERS), salt=rng.choice(SALTS), max_tokens=rng.randint(1, 6))
            assert core.add(seq, float(added)).accepted
            added += 1
        if rng.random() < 0.05:
            victim = str(rng.randrange(max(0, added - 20), added))
            aborted |= {victim} if core.abort(victim) else set()
        ended |= {output.seq_id for output in core.step(float(added)) if output.finish_reason}
        if added % 100 == 0:
            check_pages(core)
    stats = core.stats()
    assert len(ended) + len(aborted) == 10_000 and not ended & aborted and len(aborted) > 50
    assert stats["cached_tokens_total"] > 0 and stats["evicted_tokens_total"] > 0
    assert stats["prefix_bytes"] < 60 * 1000
    check_idle(core)
