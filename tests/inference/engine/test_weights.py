"""Model directories: what is read, how, and what is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.engine import tensorfile, weights
from inference.engine.tensorfile import TensorFile, TensorFileError
from inference.engine.weights import ModelError
from tests.inference.engine.tiny import CONFIG, generate, make_core, make_model, sequence, tensors

CPU = torch.device("cpu")


def load(path: Path) -> weights.Weights:
    return weights.load(path, weights.read_config(path), torch.float32, CPU)


def shard(path: Path, names: list[str]) -> None:
    """Split model.safetensors over the named files, round-robin, with an index."""
    found = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    where = {key: names[i % len(names)] for i, key in enumerate(sorted(found))}
    for name in names:
        save_file({k: v for k, v in found.items() if where[k] == name}, path / name)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def test_shards_and_one_file_give_the_same_model(tmp_path, tiny_model):
    whole = generate(make_core(tiny_model), sequence("x", [5, 6, 7]))
    shard(make_model(tmp_path / "m"), ["a.safetensors", "b.safetensors"])
    assert generate(make_core(tmp_path / "m"), sequence("x", [5, 6, 7])) == whole


def test_half_precision_weights_are_widened(tmp_path):
    path = make_model(tmp_path / "m")
    half = {key: value.to(torch.bfloat16) for key, value in load_file(path / "model.safetensors").items()}
    save_file(half, path / "model.safetensors")
    found = load(path)
    assert found.embed.dtype == torch.float32
    assert torch.equal(found.head, half["lm_head.weight"].float())


def test_tied_embeddings_share_memory(tmp_path):
    found = load(make_model(tmp_path / "m", tie_word_embeddings=True))
    assert found.head is found.embed


def test_neighbours_in_the_file_fuse_without_a_copy(tmp_path):
    """The converter's order: q, k, v of a layer are one matrix of the mapping itself."""
    path = make_model(tmp_path / "m")
    found = tensors(CONFIG, 0)
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    tensorfile.write(path / "model.safetensors", shapes, (tensor.numpy() for tensor in found.values()))
    file = TensorFile(path / "model.safetensors")
    names = [f"model.layers.1.self_attn.{p}_proj.weight" for p in "qkv"]
    fused = file.fused(names)
    assert fused.data_ptr() == file.get(names[0]).data_ptr()
    assert torch.equal(fused, torch.cat([found[name] for name in names]))
    assert file.fused(names[::-1]) is None
    other = load_file(path / "model.safetensors")
    assert all(torch.equal(other[name], tensor) for name, tensor in found.items()), "any reader reads it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2'"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"quantization_config": {"bits": 4}}, "packed weights"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope scaling 'yarn'"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4}}, "rope scaling 'dynamic'"),
        ({"partial_rotary_factor": 0.5}, "partial"),
        ({"rope_scaling": {"type": "linear"}}, "factor"),
        ({"hidden_size": 68}, "config.json says"),
        ({"num_hidden_layers": 3}, "layers.2"),
        ({"num_hidden_layers": 1}, "not understood"),
    ],
)
def test_what_the_engine_cannot_compute_is_refused(tmp_path, change, message):
    path = make_model(tmp_path / "m")
    (path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(ModelError, match=message):
        load(path)


def test_biases_in_the_file_are_refused(tmp_path):
    path = make_model(tmp_path / "m")
    found = load_file(path / "model.safetensors")
    save_file(found | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(64)}, path / "model.safetensors")
    with pytest.raises(ModelError, match=r"1 tensors are not understood.*q_proj\.bias"):
        load(path)


def test_broken_directories(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json does not exist"):
        load(tmp_path)
    path = make_model(tmp_path / "m")
    (path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="model_type"):
        load(path)
    (path / "config.json").write_text(json.dumps({k: v for k, v in CONFIG.items() if k != "vocab_size"}))
    with pytest.raises(ModelError, match="no 'vocab_size'"):
        load(path)
    (path / "config.json").write_text(json.dumps(CONFIG))
    raw = (path / "model.safetensors").read_bytes()
    for broken, message in ((raw[:-4], "truncated"), (b"\xff" * 99, "no safetensors"), (b"", "no safetensors")):
        (path / "model.safetensors").write_bytes(broken)
        with pytest.raises(ModelError, match=message):
            load(path)
    (path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"only \*\.safetensors"):
        load(path)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../other.safetensors"}}))
    with pytest.raises(ModelError, match="does not exist"):
        load(path)


def test_a_writer_that_breaks_its_word_is_caught(tmp_path):
    with pytest.raises(TensorFileError, match="announced"):
        tensorfile.write(tmp_path / "x", {"a": (2, 3)}, iter([np.zeros((3, 2), np.float32)]))


def test_end_of_sequence_ids(tmp_path):
    path = make_model(tmp_path / "m")
    assert weights.read_config(path).eos_ids == (2,)
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    assert weights.read_config(path).eos_ids == (2, 7)
