"""The C forward: the torch forward's scores, and a row's bits the same whatever else is in the batch."""

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.compiled import CompiledModel
from inference.engine.config import ConfigError
from inference.engine.core import EngineCore
from inference.engine.lora import LoraRows
from inference.engine.model import Chunk, Model
from inference.engine.steps import lora_table
from kernels import library
from tests.inference.engine.tiny import generate, make_core, make_model, sequence

pytestmark = pytest.mark.skipif(library.load() is None, reason="the C kernels could not be built (no compiler?)")

ADAPTERS = [None, "all", "attention", "mlp"]


def core_of(model: Path, adapters: dict[str, Path], kernels: str, **settings_: object) -> EngineCore:
    core = make_core(model, kernels=kernels, **settings_)
    for name, path in adapters.items():
        core.load_adapter(name, path)
    return core


def resident(core: EngineCore, name: str) -> LoraRows:
    """The adapter in pages of the pool, as a running request has it."""
    adapter = core.adapter_store.find(name)
    core.adapter_store.residency.pin(adapter, "test")
    while not core.adapter_store.residency.ready(adapter):
        core.adapter_store.residency.wait(1.0)
        assert core.adapter_store.poll() == []
    assert adapter.rows is not None
    return adapter.rows


def scores(core: EngineCore, ids: list[int], adapter: str | None, cuts: list[int], company: int = 0) -> torch.Tensor:
    """Scores of every position of `ids`, computed in pieces, each beside `company` other sequences."""
    lora = resident(core, adapter) if adapter else None
    pages, found = core.pool.alloc(-(-len(ids) // 4)), []
    others = [core.pool.alloc(5) for _ in range(company)]
    bounds = [0, *cuts, len(ids)]
    for begin, end in zip(bounds, bounds[1:], strict=False):
        beside = [Chunk([5 + i] * (1 + 6 * (i % 2)), 0, p) for i, p in enumerate(others)]
        states = core.model.forward([*beside, Chunk(ids[begin:end], begin, pages, lora)])
        found.append(core.model.logits(states)[-(end - begin) :])
    core.pool.release(pages)
    for page in others:
        core.pool.release(page)
    return torch.cat(found)


CASES = {
    "length": st.integers(2, 60),
    "adapter": st.sampled_from(ADAPTERS),
    "cuts": st.sets(st.integers(1, 59)),
    "company": st.integers(0, 6),
    "seed": st.integers(0, 50),
}


@given(**CASES)
@settings(max_examples=40, deadline=None)
def test_scores_equal_the_torch_forward(tiny_model, tiny_adapters, length, adapter, cuts, company, seed):
    ids = random.Random(seed).choices(range(3, 300), k=length)
    cut = sorted(c for c in cuts if c < length)
    c, plain = (core_of(tiny_model, tiny_adapters, kernels) for kernels in ("c", "torch"))
    assert isinstance(c.model, CompiledModel) and isinstance(plain.model, Model)
    wanted = scores(plain, ids, adapter, [])
    assert torch.allclose(scores(c, ids, adapter, cut, company), wanted, atol=1e-4 * float(wanted.std()))


@given(workers=st.integers(1, 3), **CASES)
@settings(max_examples=40, deadline=None)
def test_cuts_company_and_threads_change_no_bit(
    tiny_model, tiny_adapters, workers, length, adapter, cuts, company, seed
):
    """What radix reuse, preemption, chunked prefill and any batch mix need: equal bits, hence equal tokens."""
    ids = random.Random(seed).choices(range(3, 300), k=length)
    core = core_of(tiny_model, tiny_adapters, "c", threads=1)
    alone = scores(core, ids, adapter, [])
    assert library.load().agon_set_threads(workers) == workers
    assert torch.equal(scores(core, ids, adapter, sorted(c for c in cuts if c < length), company), alone)


def test_the_likeliest_token_is_the_scores_own(tiny_model):
    core = make_core(tiny_model, kernels="c")
    states = core.model.forward([Chunk(list(range(3, 40)), 0, core.pool.alloc(10))]).clone()
    wanted = core.model.logits(states).max(dim=-1)
    index, value = core.model.best(states)
    assert index.tolist() == wanted.indices.tolist() and torch.equal(value, wanted.values)
    states[3] = torch.nan
    assert core.model.best(states)[1].isnan().nonzero().tolist() == [[3]]


@pytest.mark.parametrize(
    "changes", [{}, {"tie_word_embeddings": True}, {"num_key_value_heads": 1}, {"vocab_size": 333}]
)
def test_greedy_tokens_equal_torchs(tmp_path, changes):
    path = make_model(tmp_path / "m", seed=2, **changes)
    cores = [make_core(path, kernels=kernels, pool_bytes=400_000) for kernels in ("c", "torch")]
    tokens = [generate(core, *(sequence(str(i), [5 + i] * (7 * i + 1)) for i in range(5))) for core in cores]
    assert tokens[0] == tokens[1]


def test_each_module_has_its_own_rank_and_columns(tiny_model, tiny_adapters):
    """q, k and v share their rows of A and are modules of their own all the same; an adapter of q and v has none for k."""
    core = core_of(tiny_model, tiny_adapters, "c")
    shapes = {
        name: [(m.rank, m.begin, m.width) for m in lora_table(resident(core, name), 2).modules[0, "qkv"]]
        for name in ("all", "attention")
    }
    assert shapes == {"all": [(4, 0, 64), (4, 64, 32), (4, 96, 32)], "attention": [(2, 0, 64), (2, 96, 32)]}


def test_what_c_cannot_run(tmp_path, tiny_model, monkeypatch):
    odd = make_model(tmp_path / "odd", head_dim=8)
    with pytest.raises(ConfigError, match="multiple of 16 channels, not 8"):
        make_core(odd, kernels="c")
    with pytest.raises(ConfigError, match="not bfloat16 on cpu"):
        make_core(tiny_model, kernels="c", dtype="bfloat16")
    with pytest.raises(ConfigError, match="one of: auto, c, torch, triton"):
        make_core(tiny_model, kernels="fortran")
    assert isinstance(make_core(odd).model, Model)
    assert isinstance(make_core(tiny_model, dtype="bfloat16").model, Model)
    assert isinstance(make_core(tiny_model).model, CompiledModel)
    monkeypatch.setattr(library, "load", lambda: None)
    assert isinstance(make_core(tiny_model).model, Model)
    with pytest.raises(ConfigError, match="could not be built"):
        make_core(tiny_model, kernels="c")
