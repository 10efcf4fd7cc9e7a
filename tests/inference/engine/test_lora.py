"""Adapters beside the base weights: equal to merging, mixed in one batch, and refused when they do not fit."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from inference.engine.lora import MODULES, TARGETS, LoraRows, Segment, Shape, add_lora, dims, row_map, write_rows
from inference.engine.pages import Kind, Layout, PagePool
from inference.engine.sequence import AdapterError
from inference.engine.weights import ModelConfig, Rope
from tests.inference.engine.tiny import CONFIG, drain, generate, make_adapter, make_core, sequence, tensors

PROMPTS = [[5, 9, 100, 7], list(range(20, 60)), [3]]


def merged(path: Path, adapter: Path, scale: float) -> Path:
    """The tiny model with W + B A * scale in place of W."""
    weights = tensors(CONFIG, 0)
    lora = load_file(adapter / "adapter_model.safetensors")
    for key in [key for key in lora if key.endswith("lora_A.weight")]:
        name = key.removeprefix("base_model.model.").replace("lora_A.", "")
        weights[name] += lora[key.replace("lora_A", "lora_B")].float() @ lora[key].float() * scale
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file(weights, path / "model.safetensors")
    return path


@pytest.mark.parametrize(
    ("name", "scale"), [("all", 8 / 4), ("attention", 4 / 2), ("mlp", 16 / math.sqrt(8))], ids=["all", "qv", "rslora"]
)
def test_an_adapter_equals_merged_weights(tmp_path, tiny_model, tiny_adapters, name, scale):
    core = make_core(tiny_model)
    core.load_adapter("a", tiny_adapters[name])
    other = make_core(merged(tmp_path / "merged", tiny_adapters[name], scale))
    for i, prompt in enumerate(PROMPTS):
        ours = generate(core, sequence(f"{i}", prompt, "a", max_tokens=20))
        assert ours == generate(other, sequence(f"{i}", prompt, max_tokens=20))
        assert ours != generate(core, sequence(f"{i}", prompt, max_tokens=20)), "the adapter must change something"


def test_a_mixed_batch_equals_each_alone(tiny_model, tiny_adapters):
    core = make_core(tiny_model, max_batch_tokens=16)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    kinds = [None, *tiny_adapters, None]
    alone = {}
    for i, kind in enumerate(kinds):
        alone |= generate(core, sequence(str(i), PROMPTS[i % 3], kind))
    assert generate(core, *(sequence(str(i), PROMPTS[i % 3], kind) for i, kind in enumerate(kinds))) == alone


def test_unloading_lets_accepted_requests_finish(tiny_model, tiny_adapters):
    core = make_core(tiny_model)
    core.load_adapter("a", tiny_adapters["all"])
    assert core.adapters() == ["a"]
    alone = generate(core, sequence("x", PROMPTS[0], "a"))["x"]
    core.add(sequence("x", PROMPTS[0], "a"), 0.0)
    core.unload_adapter("a")
    assert core.adapters() == [] and core.stats()["adapter_bytes"] == 0
    assert [t for o in drain(core) for t in o.token_ids] == alone
    with pytest.raises(AdapterError, match="no adapter 'a'"):
        core.unload_adapter("a")


# -- rows in pages -----------------------------------------------------------------------------------------------------

GQA = ModelConfig(24, 40, 2, 6, 2, 4, 50, 64, 1e-5, Rope(1e4), False)  # q 24, k and v 8: rows of 24, 8 and 40
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
SHAPES = st.builds(
    Shape,
    rank=st.integers(1, 9),
    modules=st.tuples(*[st.lists(st.sampled_from(range(7)), unique=True).map(sorted).map(tuple)] * 2),
    dtype=st.sampled_from(DTYPES),
)


def small_pool(tokens: int, pages: int = 3000) -> PagePool:
    layout = Layout(GQA.layers, GQA.kv_heads, GQA.head_dim, tokens, torch.float32)
    return PagePool(layout, (pages + 1) * layout.page_bytes, torch.device("cpu"))


@given(shape=SHAPES, tokens=st.sampled_from([2, 3, 16]))
@settings(max_examples=60, deadline=None)
def test_rows_lie_apart_inside_their_pages_and_almost_without_gaps(shape, tokens):
    pool = small_pool(tokens)
    found = row_map(GQA, shape, pool.layout.page_bytes)
    spans = []
    for (layer, target), place in found.places.items():
        assert place.modules == tuple(m for m in TARGETS[target] if m in shape.modules[layer])
        assert sum(run.rows for run in place.a) == shape.rank * len(place.modules)
        matrices = [(place.a, place.width), *((part.runs, part.out) for part in place.b)]
        assert all(sum(run.rows for run in part.runs) == shape.rank for part in place.b)
        spans += [(r.page, r.offset, r.rows * w * shape.dtype.itemsize) for runs, w in matrices for r in runs]
    assert spans == sorted(spans)
    for (page, start, size), (next_page, next_start, _) in zip(spans, spans[1:], strict=False):
        assert start + size <= pool.layout.page_bytes
        assert page < next_page or start + size <= next_start
    used = sum(size for _, _, size in spans)
    waste = 64 * len(spans) + found.pages * 40 * 4  # alignment of each matrix, and less than a row per page
    assert found.nbytes <= used + waste and found.pages == max((page for page, _, _ in spans), default=0) + 1


def put(pool: PagePool, shape: Shape, scale: float, seed: int) -> tuple[LoraRows, dict[tuple[int, int], tuple]]:
    """An adapter of random values in the pool, its pages in no order; (A, B) per layer and module in float64."""
    rng = torch.Generator().manual_seed(seed)
    found = row_map(GQA, shape, pool.layout.page_bytes)
    pages = pool.alloc(found.pages, Kind.ADAPTER)[::-1]
    views, known = [pool.page_bytes(page) for page in pages], {}
    for (layer, _), place in found.places.items():
        stacked = []
        for module in place.modules:
            width, out = dims(GQA)[module]
            a, b = torch.randn(shape.rank, width, generator=rng), torch.randn(out, shape.rank, generator=rng)
            known[layer, module] = a.to(shape.dtype).double(), b.to(shape.dtype).double()
            stacked.append(a)
            runs = next(part.runs for part in place.b if part.module == module)
            write_rows(views, runs, shape.dtype, [b.t()])
        write_rows(views, place.a, shape.dtype, stacked)
    return LoraRows("x", scale, found, pool, pages), known


@given(
    shapes=st.lists(SHAPES, min_size=1, max_size=3),
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=6),
    tokens=st.sampled_from([2, 16]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_segments_of_any_ranks_equal_dense_products(shapes, sizes, tokens, seed):
    """Against float64, whatever the page size, the stored dtype and the mix; each segment alone gives the same."""
    pool = small_pool(tokens)
    adapters = [put(pool, shape, 0.5 + i, seed + i) for i, shape in enumerate(shapes)]
    segments, row = [], 1  # row 0 and the last one have no adapter
    for which, count in sizes:
        segments.append((row, row + count, adapters[which % len(adapters)]))
        row += count
    rng = torch.Generator().manual_seed(seed)
    batch = [Segment(start, stop, lora) for start, stop, (lora, _) in segments]
    for layer in range(GQA.layers):
        for target, modules in TARGETS.items():
            width, out = dims(GQA)[modules[0]][0], sum(dims(GQA)[m][1] for m in modules)
            x, y = torch.randn(row + 1, width, generator=rng), torch.randn(row + 1, out, generator=rng)
            wanted, found, apart = y.double().clone(), y.clone(), y.clone()
            for start, stop, (lora, known) in segments:
                first = 0
                for module in modules:
                    last = first + dims(GQA)[module][1]
                    if (layer, module) in known:
                        a, b = known[layer, module]
                        wanted[start:stop, first:last] += x[start:stop].double() @ a.t() @ b.t() * lora.scale
                    first = last
            add_lora(batch, layer, target, x, found)
            torch.testing.assert_close(found.double(), wanted, rtol=2e-5, atol=2e-5)
            for segment in batch:
                add_lora([segment], layer, target, x, apart)
            assert torch.equal(apart, found), "a segment does not depend on the others"


def test_a_row_wider_than_a_page_is_refused():
    with pytest.raises(AdapterError, match="raise page_tokens"):
        row_map(GQA, Shape(2, ((6,), ()), torch.float32), 64)


def test_all_modules_are_targets_once():
    assert sorted(module for modules in TARGETS.values() for module in modules) == list(range(len(MODULES)))


# -- directories that do not fit ---------------------------------------------------------------------------------------


def rewrite(path: Path, change) -> None:
    """Apply `change` to the adapter's tensors."""
    found = load_file(path / "adapter_model.safetensors")
    save_file(change(found), path / "adapter_model.safetensors")


Q_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | {Q_A: torch.zeros(4, 65)}, r"shape \(4, 65\).*want \(4, 64\)"),
        (lambda t: t | {Q_A: torch.zeros(5, 64)}, r"shape \(5, 64\)"),
        (lambda t: {k: v for k, v in t.items() if k != Q_A}, "without its partner"),
        (lambda t: t | {Q_A.replace("layers.0", "layers.7"): torch.zeros(4, 64)}, "no place in a model of 2"),
        (lambda t: t | {"base_model.model.lm_head.lora_A.weight": torch.zeros(4, 64)}, "no place"),
        (lambda t: t | {Q_A: torch.full((4, 64), torch.nan)}, "not finite"),
        (lambda t: t | {Q_A: torch.zeros(4, 64, dtype=torch.int64)}, "readable dtypes"),
        (lambda t: {}, "no tensors"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, tiny_model, change, message):
    path = make_adapter(tmp_path / "a", seed=1)
    rewrite(path, change)
    with pytest.raises(AdapterError, match=message):
        make_core(tiny_model).load_adapter("a", path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"peft_type": "IA3"}, "only 'LORA'"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"r": 65}, "between 1 and 64"),
        ({"r": "4"}, "integer"),
        ({"lora_alpha": None}, "lora_alpha"),
    ],
)
def test_settings_that_change_the_arithmetic(tmp_path, tiny_model, setting, message):
    with pytest.raises(AdapterError, match=message):
        make_core(tiny_model).load_adapter("a", make_adapter(tmp_path / "a", seed=1, **setting))


def test_files_and_bounds(tmp_path, tiny_model):
    core = make_core(tiny_model, max_adapters=2, adapter_cache_bytes=60_000)
    with pytest.raises(AdapterError, match="does not exist"):
        core.load_adapter("a", tmp_path / "nowhere")
    path = make_adapter(tmp_path / "a", seed=1)
    shutil.copy(path / "adapter_model.safetensors", path / "kept")
    (path / "adapter_model.safetensors").rename(path / "adapter_model.bin")
    with pytest.raises(AdapterError, match="never pickles"):
        core.load_adapter("a", path)
    (path / "kept").rename(path / "adapter_model.safetensors")
    core.load_adapter("a", path)
    with pytest.raises(AdapterError, match="taken"):
        core.load_adapter("a", path)
    with pytest.raises(AdapterError, match="more than the host cache holds"):
        core.load_adapter("b", make_adapter(tmp_path / "large", seed=1, rank=16))
    core.load_adapter("b", make_adapter(tmp_path / "b", seed=1, rank=1, targets=("q",)))
    with pytest.raises(AdapterError, match="max_adapters"):
        core.load_adapter("c", path)
    (tmp_path / "a/adapter_config.json").write_text("{")
    with pytest.raises(AdapterError, match="not JSON"):
        make_core(tiny_model).load_adapter("a", path)
