"""Whatever shares the pool and the batch with a request, its greedy tokens are those of its adapter merged into the weights.

Adapters of ranks 1 to 6 and 16 or 32 bits, more than the pool holds at once, so that they are evicted and come back into other
pages; prefixes reused or not; chunks and pages of any size; preemptions; names that pass to another adapter meanwhile.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from inference.engine import peft
from inference.engine.core import EngineCore
from tests.inference.engine.test_lora import merged
from tests.inference.engine.tiny import PAGE_BYTES, check_idle, check_pages, generate, make_adapter, make_core, sequence

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
KINDS: list[dict[str, Any]] = [
    {"rank": 1},
    {"rank": 2, "targets": ("q", "v")},
    {"rank": 3, "targets": ("down",)},
    {"rank": 4, "targets": ("k", "o", "gate")},
    {"rank": 6, "targets": ("q", "up")},
]
ALPHA = 6
PROMPTS = st.tuples(
    st.integers(0, 3), st.integers(0, 30), st.integers(1, 12)
)  # a shared beginning, how long; own tokens


def ids_of(shape: tuple[int, int, int]) -> list[int]:
    beginning, length, own = shape
    first = random.Random(beginning).choices(range(3, 300), k=length)
    return first + random.Random(100 * beginning + own).choices(range(3, 300), k=own)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters a0, a1, ..., of which those with even numbers are float16 files, and a model m0, m1, ... merged with each."""
    path = tmp_path_factory.mktemp("exact")
    for i, kind in enumerate(KINDS):
        folder = make_adapter(path / f"a{i}", seed=i, lora_alpha=ALPHA, **kind)
        if i % 2 == 0:
            file = folder / peft.TENSORS
            save_file({key: tensor.half() for key, tensor in load_file(file).items()}, file)
        merged(path / f"m{i}", folder, ALPHA / kind["rank"])
    return path


@pytest.fixture(scope="module")
def wanted(root: Path, tiny_model: Path):
    """20 greedy tokens of a prompt under an adapter (None: the base), from a model that knows no adapters."""
    cores = {i: make_core(root / f"m{i}", radix=False, max_batch_tokens=64) for i in range(len(KINDS))}
    cores[-1] = make_core(tiny_model, radix=False, max_batch_tokens=64)
    known: dict[tuple[int, tuple[int, ...]], list[int]] = {}

    def run(adapter: int, ids: list[int]) -> list[int]:
        key = adapter, tuple(ids)
        if key not in known:
            known[key] = generate(cores[adapter], sequence("x", ids, max_tokens=20))["x"]
        return known[key]

    return run


REQUESTS = st.lists(
    st.tuples(PROMPTS, st.integers(-1, len(KINDS) - 1), st.integers(1, 20), st.integers(0, 40)), min_size=1, max_size=14
)


@SLOW
@given(
    requests=REQUESTS,
    engine=st.fixed_dictionaries(
        {
            "max_batch_tokens": st.integers(8, 64),
            "page_tokens": st.sampled_from([2, 4, 8]),
            "radix": st.booleans(),
            "kernels": st.sampled_from(["auto", "torch"]),
            "adapter_rows": st.sampled_from(["auto", "compute", "file"]),
            "adapter_cache_bytes": st.sampled_from([60_000, 1 << 20]),
            "prefetch_requests": st.integers(0, 4),
            "pool_bytes": st.integers(28, 60).map(lambda pages: pages * PAGE_BYTES),
        }
    ),
    swaps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, len(KINDS) - 1)), max_size=4),
)
def test_greedy_tokens_are_those_of_merged_weights(
    root: Path, tiny_model: Path, wanted, requests, engine, swaps
) -> None:
    core = make_core(tiny_model, **engine)
    serves = {f"n{i}": i for i in range(len(KINDS))}  # name -> which adapter it stands for now
    for name, i in serves.items():
        core.load_adapter(name, root / f"a{i}")
    asked: dict[str, tuple[list[int], int, int]] = {}
    said: dict[str, list[int]] = {}
    for now in range(2000):
        for _, i in [swap for swap in swaps if swap[0] == now]:
            exchange(core, root, serves, i)
        for number, (shape, i, length, arrival) in enumerate(requests):
            if arrival == now:
                name, ids = (None, ids_of(shape)) if i < 0 else (f"n{i}", ids_of(shape))
                assert core.add(sequence(str(number), ids, name, max_tokens=length), float(now)).accepted
                asked[str(number)], said[str(number)] = (ids, -1 if name is None else serves[name], length), []
        for output in core.step(float(now)):
            assert output.error is None
            said[output.seq_id] += output.token_ids
        check_pages(core)
        if now > 40 and not core.has_work():
            break
    assert said == {name: wanted(i, ids)[:length] for name, (ids, i, length) in asked.items()}
    check_idle(core)


def exchange(core: EngineCore, root: Path, serves: dict[str, int], i: int) -> None:
    """Two names change their adapters, one by replacing it in place, one by unloading it first."""
    one, other = f"n{i}", f"n{(i + 1) % len(KINDS)}"
    serves[one], serves[other] = serves[other], serves[one]
    store = core.adapter_store
    store.register(one, store.inspect(root / f"a{serves[one]}"), replace=True)
    core.unload_adapter(other)
    core.load_adapter(other, root / f"a{serves[other]}")
