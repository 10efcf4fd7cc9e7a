"""Every policy drives the real core: the same tokens whoever goes first, and the bound of docs/scheduling.md in the engine."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from inference.engine.config import EngineConfig
from inference.engine.core import EngineCore
from inference.engine.sequence import Sequence
from inference.scheduler.protocol import ServiceClass
from inference.scheduler.registry import POLICIES, make_scheduler
from tests.inference.engine.tiny import PAGE_BYTES, check_idle, drain, make_core, sequence

RUNNABLE = sorted(set(POLICIES) - {"vtc_oracle"})  # nobody tells the engine the future
OPEN = {"max_waiting_per_client": 1000, "max_waiting": 10_000}


def core_with(model: Path, name: str, pages: int = 60, running: int = 4, **options: object) -> EngineCore:
    config = EngineConfig(
        model,
        page_tokens=4,
        pool_bytes=(pages + 1) * PAGE_BYTES,
        max_running=running,
        max_batch_tokens=32,
        threads=1,
    )
    return EngineCore(config, make_scheduler(name, **OPEN, **options))  # type: ignore[arg-type]


def prompts(seed: int) -> list[Sequence]:
    """Singles and pairs of a few clients, two networks and all classes; some begin alike."""
    rng = random.Random(seed)
    common = rng.choices(range(3, 300), k=12)
    made: list[Sequence] = []
    for i in range(10):
        client, sides = rng.choice("abc"), rng.choice((1, 2))
        klass = rng.choice(list(ServiceClass))
        for side in range(sides):
            ids = common[: rng.choice((0, 12))] + rng.choices(range(3, 300), k=rng.randint(1, 20))
            seq = sequence(f"{i}.{side}", ids, client=client, max_tokens=rng.randint(1, 14))
            r = seq.request
            r.group, r.klass = {"a": "net", "b": "net", "c": ""}[client], klass
            r.pair, r.pair_size = (f"t{i}", 2) if sides == 2 else (None, 1)
            made.append(seq)
    return made


def tokens(core: EngineCore, seed: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for seq in prompts(seed):
        assert core.add(seq, 0.0).accepted
        found[seq.id] = []
    for output in drain(core):
        assert output.error is None
        found[output.seq_id] += output.token_ids
    return found


@pytest.fixture(scope="module")
def alone(tiny_model: Path) -> dict[int, dict[str, list[int]]]:
    """One after the other, nothing reused."""
    known: dict[int, dict[str, list[int]]] = {}
    for seed in range(2):
        known[seed] = {}
        for seq in prompts(seed):
            core = make_core(tiny_model, radix=False)
            seq.request.pair, seq.request.pair_size = None, 1
            core.add(seq, 0.0)
            known[seed][seq.id] = [token for output in drain(core) for token in output.token_ids]
    return known


@pytest.mark.parametrize("pages", [16, 60])
@pytest.mark.parametrize("name", RUNNABLE)
def test_tokens_do_not_depend_on_who_goes_first(
    tiny_model: Path, alone: dict[int, dict[str, list[int]]], name: str, pages: int
) -> None:
    for seed in range(2):
        core = core_with(tiny_model, name, pages)
        assert tokens(core, seed) == alone[seed]
        requests = {seq.id: seq.request for seq in prompts(seed)}
        cost = sum(len(seq.prompt_ids) for seq in prompts(seed)) + 2 * sum(map(len, alone[seed].values()))
        assert sum(core.scheduler.service().values()) == cost
        assert core.scheduler.figures().admissions == len({r.pair or r.id for r in requests.values()})
        check_idle(core)


def widest(core: EngineCore, prompt: int, length: int) -> float:
    """The largest difference of service while both wait: `greedy` asks four times as much as `modest`, after it has begun."""
    rng = random.Random(5)
    for i in range(60):
        greedy = i < 12 or i % 5
        seq = sequence(
            f"s{i}", rng.choices(range(3, 300), k=prompt), client="greedy" if greedy else "modest", max_tokens=length
        )
        core.add(seq, 0.0)
    now, low, high = 0.0, 0.0, 0.0
    while len({seq.request.client for seq in core._batch.waiting.values()}) == 2:
        core.step(now)
        now += 0.1
        service = core.scheduler.service()
        difference = service.get("greedy", 0.0) - service.get("modest", 0.0)
        low, high = min(low, difference), max(high, difference)
    drain(core, now)
    return high - low


@pytest.mark.parametrize("name", ["vtc", "vtc_credibility", "vtc_locality", "vtc_locality_credibility"])
def test_two_clients_of_unequal_appetite_stay_within_the_bound(tiny_model: Path, name: str) -> None:
    """2 (E + Q + P) with the engine's own memory test: E = input + 2 R T, P = 2 R T; and FCFS is further apart."""
    running, prompt, length, slack = 4, 8, 6, 20.0
    options = {"slack": slack} if "locality" in name else {}
    advance = 2.0 * running * length
    bound = 2 * (prompt + advance + options.get("slack", 0.0) + (advance if "credibility" in name else 0.0))
    found = widest(core_with(tiny_model, name, running=running, **options), prompt, length)
    assert 0 < found <= bound
    assert found < widest(core_with(tiny_model, "fcfs", running=running), prompt, length) / 2
