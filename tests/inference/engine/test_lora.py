"""Adapters beside the base weights: equal to merging, mixed in one batch, and refused when they do not fit."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.engine.lora import AdapterError
from tests.inference.engine.tiny import CONFIG, drain, generate, make_adapter, make_core, sequence, tensors

PROMPTS = [[5, 9, 100, 7], list(range(20, 60)), [3]]


def merged(path: Path, adapter: Path, scale: float) -> Path:
    """The tiny model with W + B A * scale in place of W."""
    weights = tensors(CONFIG, 0)
    lora = load_file(adapter / "adapter_model.safetensors")
    for key in [key for key in lora if key.endswith("lora_A.weight")]:
        name = key.removeprefix("base_model.model.").replace("lora_A.", "")
        weights[name] += lora[key.replace("lora_A", "lora_B")] @ lora[key] * scale
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
    core = make_core(tiny_model, max_adapters=2, adapter_bytes=60_000)
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
    with pytest.raises(AdapterError, match="over what is left"):
        core.load_adapter("b", path)
    core.load_adapter("b", make_adapter(tmp_path / "b", seed=1, rank=1, targets=("q",)))
    with pytest.raises(AdapterError, match="max_adapters"):
        core.load_adapter("c", path)
    (tmp_path / "a/adapter_config.json").write_text("{")
    with pytest.raises(AdapterError, match="not JSON"):
        make_core(tiny_model).load_adapter("a", path)
