"""Prefix reuse in the engine: what is shared, what never is, and the memory of both."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, settings

from inference.engine.core import EngineCore
from inference.engine.pages import Order
from inference.scheduler.protocol import Request
from tests.inference.engine.tiny import (
    cached,
    check_idle,
    computed,
    drain,
    generate,
    make_adapter,
    make_core,
    prompt,
    sequence,
)

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ADAPTERS = (None, "all", "attention", "mlp")
SALTS = ("visitor", "judge")


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
