"""Prefix reuse in the engine: what is shared and what never is, exactness, and that every page comes back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.engine.core import EngineCore
from inference.engine.pages import Order
from inference.engine.sequence import Sequence
from inference.scheduler.protocol import Request
from tests.inference.engine.tiny import check_idle, check_pages, drain, generate, make_adapter, make_core, sequence

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ADAPTERS = (None, "all", "attention", "mlp")
SALTS = ("visitor", "judge")


def prompt(seed: int, length: int) -> list[int]:
    return random.Random(seed).choices(range(3, 300), k=length)


def computed(core: EngineCore) -> int:
    return core.stats()["computed_tokens_total"]


def cached(core: EngineCore, *sequences: Sequence) -> dict[str, int]:
    """Run the sequences together; the cached tokens that each is told."""
    for seq in sequences:
        assert core.add(seq, 0.0).accepted
    told: dict[str, int] = {}
    for output in drain(core):
        told[output.seq_id] = told.get(output.seq_id, 0) + output.cached_tokens
    return told


# -- exactness -----------------------------------------------------------------------------------------------------------


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


def ids_of(shape: tuple[list[int], int, int]) -> list[int]:
    pages, own, tail = shape
    return [token for page in pages for token in prompt(page, 4)] + (prompt(tail, 4) * 5)[:own]


@SLOW
@given(requests=REQUESTS, budget=st.integers(8, 70), pages=st.integers(40, 96), data=st.data())
def test_reuse_changes_no_token(tiny_model, tiny_adapters, alone, requests, budget, pages, data):
    """Shared beginnings, any company, chunk size and memory, arrivals and aborts at any time: the tokens of each alone."""
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
        if wanted and data.draw(st.integers(0, 30)) == 0:
            victim = data.draw(st.sampled_from(sorted(wanted)))
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


# -- what is shared ------------------------------------------------------------------------------------------------------


def test_a_second_request_computes_only_what_is_new(tiny_model):
    core = make_core(tiny_model)
    first, second = prompt(1, 41), prompt(1, 41)[:38] + prompt(2, 10)
    assert cached(core, sequence("a", first, max_tokens=1)) == {"a": 0}
    before = computed(core)
    assert cached(core, sequence("b", second, max_tokens=1)) == {"b": 36}, "whole pages of 4"
    assert computed(core) - before == 48 - 36
    assert core.stats()["cached_tokens_total"] == 36 and core.stats()["prefix_hit_rate"] == 36 / (41 + 48)


def test_a_reply_is_part_of_the_next_turns_prefix(tiny_model):
    core = make_core(tiny_model)
    ids = prompt(1, 10)
    reply = generate(core, sequence("a", ids, max_tokens=15))["a"]
    # The last token of the reply was sampled and never computed: 24 tokens are there, six pages.
    assert cached(core, sequence("b", [*ids, *reply, 7, 8], max_tokens=1)) == {"b": 24}


def test_the_last_token_is_always_computed(tiny_model):
    core = make_core(tiny_model)
    ids = prompt(3, 32)
    generate(core, sequence("a", ids))
    assert cached(core, sequence("b", ids)) == {"b": 28}


def test_a_prompt_is_shared_while_its_request_still_runs(tiny_model):
    core = make_core(tiny_model)
    core.add(sequence("a", prompt(1, 21), max_tokens=100), 0.0)
    core.step(0.0)
    core.add(sequence("b", prompt(1, 21), max_tokens=1), 0.0)
    assert [(o.seq_id, o.cached_tokens) for o in core.step(0.0)] == [("a", 0), ("b", 20)]
    a = core._batch.running["a"]
    assert {core.pool.refs(page) for page in a.pages[:5]} == {2}, "the sequence and the tree"
    core.abort("a")
    check_idle(core)


def test_requests_that_begin_together_compute_the_common_part_once(tiny_model):
    core = make_core(tiny_model, max_batch_tokens=16)
    shared = prompt(1, 40)
    seqs = [sequence(str(i), shared + prompt(10 + i, 6), max_tokens=3) for i in range(5)]
    assert cached(core, *seqs) == {"0": 0, "1": 40, "2": 40, "3": 40, "4": 40}
    assert computed(core) == 46 + 4 * 6 + 5 * 2
    assert core.stats()["prefix_deferrals_total"] == 4
    check_idle(core)


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


def test_a_scheduler_hears_what_is_cached_and_what_is_computed(tiny_model):
    core = make_core(tiny_model, max_batch_tokens=256)
    generate(core, sequence("a", prompt(1, 40), max_tokens=1))
    heard: dict[str, object] = {}
    peek, admitted = core.scheduler.peek, core.scheduler.admitted

    def listen(fits, cached_len, now):
        found = peek(fits, cached_len, now)
        heard.update({r.id: cached_len(r) for r in found})
        return found

    def charged(r: Request, uncached: int) -> None:
        heard[f"{r.id} pays"] = uncached
        admitted(r, uncached)

    core.scheduler.peek, core.scheduler.admitted = listen, charged  # type: ignore[method-assign]
    b, c = (prompt(1, 40) + prompt(2, 20) + prompt(ord(name), 3) for name in "bc")
    generate(core, sequence("b", b), sequence("c", c))
    assert heard == {"b": 40, "b pays": 23, "c": 40, "c pays": 3}, "c pays for what b does not compute for it"


# -- what is never shared ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({"salt": "s"}, {"salt": "s"}, True),
        ({"salt": "s"}, {"salt": "t"}, False),
        ({"salt": "job", "client": "x"}, {"salt": "job", "client": "y"}, True),
        ({"client": "x"}, {"client": "y"}, False),
        ({"client": "x"}, {"client": "x"}, True),
        ({"adapter": "all"}, {}, False),
        ({"adapter": "all"}, {"adapter": "mlp"}, False),
        ({"adapter": "mlp"}, {"adapter": "mlp"}, True),
    ],
)
def test_salts_clients_and_adapters_keep_prefixes_apart(tiny_model, tiny_adapters, one, other, shared):
    core = make_core(tiny_model)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    ids = prompt(1, 20)
    generate(core, sequence("a", ids, **one))
    assert cached(core, sequence("b", ids, **other)) == {"b": 16 if shared else 0}
    check_idle(core)


def test_an_adapter_that_takes_anothers_name_shares_nothing_with_it(tiny_model, tmp_path):
    """Also what a request computes after its adapter was unloaded is for nobody."""
    core = make_core(tiny_model)
    ids = prompt(1, 20)
    core.load_adapter("x", make_adapter(tmp_path / "one", seed=1))
    generate(core, sequence("a", ids, "x"))
    core.add(sequence("late", ids, "x", max_tokens=40), 0.0)
    core.step(0.0)
    core.unload_adapter("x")
    core.load_adapter("x", make_adapter(tmp_path / "two", seed=2))
    assert cached(core, sequence("b", ids, "x"))["b"] == 0
    assert cached(core, sequence("c", ids, "x")) == {"c": 16}
    core.unload_adapter("x")
    assert core.stats()["prefix_tokens"] == 0, "nothing is kept of the two that are gone"
    check_idle(core)


def test_prompt_scores_are_computed_not_cached(tiny_model):
    core = make_core(tiny_model)
    ids = prompt(1, 30)
    generate(core, sequence("a", ids))
    core.add(sequence("b", ids, prompt_logprobs=0, max_tokens=1), 0.0)
    outputs = drain(core)
    assert outputs[0].cached_tokens == 0 and [t.token_id for t in outputs[0].prompt_logprobs[1:]] == ids[1:]
    check_idle(core)


def test_nothing_after_a_sparse_step_is_shared(tiny_model):
    core = make_core(tiny_model)
    ids = prompt(1, 10)
    core.add(sequence("a", ids, max_tokens=20), 0.0)
    core.step(0.0)
    core.step(0.0)
    core._batch.running["a"].exact = 11  # as a sparse step does that begins now
    reply = [token for output in drain(core) for token in output.token_ids]
    assert len(reply) == 18
    core.add(sequence("b", [*ids, *core_reply(core, ids), 5], max_tokens=1), 0.0)
    assert drain(core)[0].cached_tokens == 8
    check_idle(core)


def core_reply(core: EngineCore, ids: list[int]) -> list[int]:
    """What the model says to `ids`, from a core that shares nothing."""
    other = make_core(core.config.model_path, radix=False)
    return generate(other, sequence("x", ids, max_tokens=20))["x"]


def test_what_ended_in_an_error_is_not_kept(tiny_model, monkeypatch):
    core = make_core(tiny_model)
    real = core.model.best
    monkeypatch.setattr(core.model, "best", lambda states: (real(states)[0], torch.full((len(states),), torch.nan)))
    core.add(sequence("bad", prompt(1, 20)), 0.0)
    assert [o.finish_reason for o in drain(core)] == ["error"]
    assert core.stats()["prefix_tokens"] == 0
    check_idle(core)


def test_off_means_off(tiny_model):
    core = make_core(tiny_model, radix=False)
    ids = prompt(1, 30)
    for name in "ab":
        assert cached(core, sequence(name, ids)) == {name: 0}
    assert cached(core, sequence("c", ids), sequence("d", ids)) == {"c": 0, "d": 0}
    assert core.stats()["cached_tokens_total"] == core.stats()["prefix_tokens"] == core.pool.used == 0


# -- memory --------------------------------------------------------------------------------------------------------------


def test_cached_pages_make_room_before_anybody_is_disturbed(tiny_model):
    core = make_core(tiny_model, pages=30)
    for i in range(6):
        generate(core, sequence(str(i), prompt(i, 40), max_tokens=4))
    stats = core.stats()
    assert stats["preemptions_total"] == 0 and stats["evicted_tokens_total"] > 0
    assert stats["pages_used"] == 0 and 30 - core.pool.free == stats["pages_cached"] <= 30
    assert cached(core, sequence("again", prompt(5, 40), max_tokens=4)) == {"again": 36}, "the newest is still there"
    check_idle(core)


def test_pages_that_a_request_would_lock_are_no_room_for_it(tiny_model):
    """A cached prefix of 15 pages is evictable, but not for the request that wants to read it."""
    core = make_core(tiny_model, pages=30, max_batch_tokens=64)
    shared = prompt(1, 60)
    generate(core, sequence("cached", shared, max_tokens=1))
    core.add(sequence("runs", prompt(2, 28), max_tokens=8), 0.0)
    core.step(0.0)
    core.add(sequence("waits", shared + prompt(3, 36), max_tokens=1), 0.0)
    core.step(0.0)
    assert core.pool.available == 30 - 8 and list(core._batch.waiting) == ["waits"]
    assert [o.cached_tokens for o in drain(core) if o.seq_id == "waits"] == [60]
    assert core.stats()["preemptions_total"] == 0
    check_idle(core)


def test_reclaimers_are_asked_in_their_order(tiny_model):
    """Who else holds pages that nobody needs (idle adapters) comes before the prefixes, and counts as room at admission."""
    core = make_core(tiny_model, pages=30)
    generate(core, sequence("old", prompt(9, 40), max_tokens=1))

    class Idle:
        pages = core.pool.alloc(15)

        @property
        def reclaimable(self) -> int:
            return len(self.pages)

        def reclaim(self, pages: int) -> int:
            gone, self.pages = self.pages[:pages], self.pages[pages:]
            core.pool.release(gone)
            return len(gone)

    idle = Idle()
    core.pool.add_reclaimer(Order.ADAPTERS, idle)
    generate(core, sequence("new", prompt(1, 60), max_tokens=1))
    assert len(idle.pages) == 30 - 10 - 15 and core.stats()["evicted_tokens_total"] == 0
    generate(core, sequence("newer", prompt(2, 60), max_tokens=1))
    assert idle.pages == [] and core.stats()["evicted_tokens_total"] > 0


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
