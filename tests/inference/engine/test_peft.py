"""Adapters from disk: garbage of every kind is refused with a reason, never with a crash. What fits: test_packing.py."""

from __future__ import annotations

import json
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from inference.engine import packing, peft
from inference.engine.lora import row_map
from inference.engine.sequence import AdapterError, AdapterMissing
from inference.engine.weights import ModelConfig, read_config
from tests.inference.engine.adapter_pages import PAGE, TENSORS, inspect, packed, unpacked
from tests.inference.engine.tiny import make_adapter


@pytest.fixture(scope="module")
def config(tiny_model: Path) -> ModelConfig:
    return read_config(tiny_model)


def raw_file(path: Path, header: object, data: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


Q = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


def pair(**changes: Any) -> dict[str, Any]:
    """A header of one good pair of rank 4, 2048 bytes of float32."""
    a = {"dtype": "F32", "shape": [4, 64], "data_offsets": [0, 1024]}
    b = {"dtype": "F32", "shape": [64, 4], "data_offsets": [1024, 2048]}
    return {f"{Q}A.weight": a | changes, f"{Q}B.weight": b}


def renamed(old: str, new: str) -> dict[str, Any]:
    return {key.replace(old, new): entry for key, entry in pair().items()}


MORE = {"dtype": "F32", "shape": [4, 64], "data_offsets": [2048, 3072]}
HEADERS: dict[str, tuple[object, bytes, int | None, str]] = {
    "empty": (b"", b"", None, "no safetensors"),
    "a pickle": (pickle.dumps({"weight": [1.0] * 999}), b"", None, "no safetensors"),
    "header longer than the file": (pair(), b"", 1 << 40, "no safetensors"),
    "header length all ones": (pair(), b"", (1 << 64) - 1, "no safetensors"),
    "header not JSON": (b"{" * 64, b"", None, "not JSON"),
    "header nested beyond any stack": (b"[" * 100_000, b"", None, "not JSON"),
    "header a list": (b"[1, 2]", b"", None, "no JSON object"),
    "entry not an object": ({f"{Q}A.weight": 3}, b"", None, "no JSON object"),
    "entry without shape": ({f"{Q}A.weight": {"dtype": "F32", "data_offsets": [0, 0]}}, b"", None, "'shape'"),
    "negative dimensions": (pair(shape=[-4, -64]), bytes(2048), None, "no readable shape"),
    "dimensions as text": (pair(shape=["4", "64"]), bytes(2048), None, "no readable shape"),
    "a thousand dimensions": (pair(shape=[2] * 1000), bytes(2048), None, "no readable shape"),
    "astronomical dimensions": (pair(shape=[10**30, 10**30]), bytes(2048), None, "no readable shape"),
    "three offsets": (pair(data_offsets=[0, 1, 2]), bytes(2048), None, "no readable shape"),
    "offsets beyond the file": (pair(data_offsets=[0, 1 << 46], shape=[4, 1 << 42]), bytes(2048), None, "truncated"),
    "offsets backwards": (pair(data_offsets=[1024, 0]), bytes(2048), None, "truncated"),
    "truncated": (pair(), bytes(2047), None, "truncated"),
    "bytes of no tensor": (pair(), bytes(4096), None, "2048 bytes belong to no tensor"),
    "tensors over each other": (pair(data_offsets=[1024, 2048]), bytes(2048), None, "overlap"),
    "a hole": (pair() | {f"{Q}B.weight": pair()[f"{Q}B.weight"] | {"data_offsets": [1028, 2052]}}, bytes(2052), None, "holes"),
    "integers": (pair(dtype="I64"), bytes(2048), None, "readable dtypes"),
    "a wrong shape": (pair(shape=[2, 128]), bytes(2048), None, r"shape \(2, 128\).*want \(4, 64\)"),
    "another name": ({"lm_head.weight": pair()[f"{Q}A.weight"]}, bytes(1024), None, "has no place"),
    "a layer that is not there": (renamed("s.0", "s.2"), bytes(2048), None, "has no place"),
    "a layer of many digits": (renamed("s.0", "s." + "9" * 1000), bytes(2048), None, "has no place"),
    "the same place twice": (pair() | {f"{Q}A.default.weight": MORE}, bytes(3072), None, "twice"),
    "half a pair": ({f"{Q}A.weight": pair()[f"{Q}A.weight"]}, bytes(1024), None, "without its partner"),
    "no tensors": ({}, b"", None, "no tensors"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
def test_files_that_are_no_adapter(tmp_path: Path, config: ModelConfig, kind: str) -> None:
    header, data, length, message = HEADERS[kind]
    path = make_adapter(tmp_path / "a", seed=1, targets=("q",))
    raw_file(path / TENSORS, header, data, length)
    with pytest.raises(AdapterError, match=message):
        inspect(path, config)


def test_a_good_pair_is_an_adapter(tmp_path: Path, config: ModelConfig) -> None:
    """The headers above are refused for what they say they are refused for."""
    path = make_adapter(tmp_path / "a", seed=1, targets=("q",))
    for blanks in range(8):  # and it need not be aligned
        raw_file(path / TENSORS, json.dumps(pair()).encode() + b" " * blanks, bytes(2048))
        assert packed(inspect(path, config), config)[0].nbytes == 2048


def test_types_may_be_mixed(tmp_path: Path, config: ModelConfig) -> None:
    path = make_adapter(tmp_path / "a", seed=1, rank=3, targets=("q",))
    tensors = load_file(path / TENSORS)
    for i, key in enumerate(sorted(tensors)):
        tensors[key] = tensors[key].to([torch.bfloat16, torch.float32, torch.float16][i % 3])
    save_file(tensors, path / TENSORS)
    spec = inspect(path, config, dtype=None)
    assert spec.shape.dtype == torch.float32
    for (layer, _, side), matrix in unpacked(*packed(spec, config)).items():
        assert torch.equal(matrix, tensors[Q.replace("s.0", f"s.{layer}") + f"{side}.weight"].float())


CONFIGS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "binary": (bytes(range(256)), "not JSON"),
    "nested": (b"[" * 200_000, "not JSON"),
    "a list": (b"[]", "no JSON object"),
    "large": (b" " * (1 << 20) + b"{}", "larger than"),
    "huge rank": (b'{"peft_type": "LORA", "r": 1000000000, "lora_alpha": 1}', "between 1 and 64"),
    "a rank of many digits": (b'{"peft_type": "LORA", "r": ' + b"9" * 4000 + b', "lora_alpha": 1}', "between 1 and 64"),
    "rank true": (b'{"peft_type": "LORA", "r": true, "lora_alpha": 1}', "integer"),
    "rank zero": (b'{"peft_type": "LORA", "r": 0, "lora_alpha": 1}', "between 1"),
    "alpha NaN": (b'{"peft_type": "LORA", "r": 4, "lora_alpha": NaN}', "lora_alpha"),
    "alpha infinite": (b'{"peft_type": "LORA", "r": 4, "lora_alpha": Infinity}', "lora_alpha"),
    "alpha true": (b'{"peft_type": "LORA", "r": 4, "lora_alpha": true}', "lora_alpha"),
    "odd modules": (b'{"peft_type": "LORA", "r": 4, "lora_alpha": 1, "target_modules": ["lm_head"]}', "lm_head"),
    "modules of another": (
        b'{"peft_type": "LORA", "r": 4, "lora_alpha": 1, "target_modules": ["k_proj"]}',
        "k_proj has",
    ),
    "too few modules": (b'{"peft_type": "LORA", "r": 4, "lora_alpha": 1, "target_modules": []}', "q_proj has tensors"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_configurations_that_are_none(tmp_path: Path, config: ModelConfig, kind: str) -> None:
    text, message = CONFIGS[kind]
    path = make_adapter(tmp_path / "a", seed=1, targets=("q",))
    (path / "adapter_config.json").write_bytes(text)
    with pytest.raises(AdapterError, match=message):
        inspect(path, config)


@pytest.mark.parametrize(
    "modules", ["all-linear", r".*\.(q|v)_proj", ["self_attn.q_proj", "model.layers.0.self_attn.v_proj"]]
)
def test_modules_may_be_a_pattern_or_paths(tmp_path: Path, config: ModelConfig, modules: object) -> None:
    inspect(make_adapter(tmp_path / "a", seed=1, targets=("q", "v"), target_modules=modules), config)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite(tmp_path: Path, config: ModelConfig, dtype: Any, value: float) -> None:
    path = make_adapter(tmp_path / "a", seed=1)
    tensors = {key: tensor.to(dtype) for key, tensor in load_file(path / TENSORS).items()}
    tensors[sorted(tensors)[-1]].view(-1)[-1] = value
    save_file(tensors, path / TENSORS)
    spec = inspect(path, config)
    with pytest.raises(AdapterError, match="not finite"):
        packed(spec, config)


def test_a_file_that_changes_after_it_was_inspected(tmp_path: Path, config: ModelConfig) -> None:
    """Truncated, replaced or gone: an error, never a fault of the process; an open descriptor outlives the name."""
    path = make_adapter(tmp_path / "a", seed=1)
    spec = inspect(path, config)
    before = [page.clone() for page in packed(spec, config)[1]]
    held = peft.hold(spec)
    good = (path / TENSORS).read_bytes()
    (path / TENSORS).unlink()
    with pytest.raises(AdapterMissing, match="does not exist"):
        packed(spec, config)
    layout = row_map(config, spec.shape, PAGE)
    image = torch.full((layout.nbytes,), 255, dtype=torch.uint8)
    packing.pack(spec, config, layout, list(image.split(PAGE)), packing.Scratch(), held)
    os.close(held)
    assert torch.equal(image, torch.cat(before))
    (path / TENSORS).write_bytes(good)
    with pytest.raises(AdapterError, match="has changed"):
        packed(spec, config)
    spec = inspect(path, config)
    os.truncate(path / TENSORS, 100)
    with pytest.raises(AdapterError, match="has changed"):
        packed(spec, config)


def test_links_pipes_devices_and_directories(tmp_path: Path, config: ModelConfig) -> None:
    """Nothing outside the folder is opened; what is no regular file is not waited for."""
    root = tmp_path / "root"
    outside = make_adapter(tmp_path / "outside", seed=1)
    inside = make_adapter(root / "inside", seed=1)
    (root / "linked").symlink_to(outside)
    (root / "up").symlink_to("..")
    for path in (root / "linked", root / "up" / "outside", root / ".." / "outside", Path("/etc")):
        with pytest.raises(AdapterError, match="leads out of"):
            inspect(path, config, root=root)
    (root / "sibling").symlink_to(inside)
    inspect(root / "sibling", config, root=root)
    assert inspect(root / "linked", config).shape.rank == 4, "an operator's own path may be a link"
    tensors = inside / TENSORS
    tensors.unlink()
    tensors.symlink_to(outside / TENSORS)
    with pytest.raises(AdapterError, match="leads out of"):
        inspect(inside, config, root=root)
    for put, message in ((os.mkfifo, "no regular file"), (os.mkdir, "directory|no regular file")):
        tensors.unlink()
        put(tensors)
        with pytest.raises(AdapterError, match=message):
            inspect(inside, config, root=root)
    tensors.rmdir()
    tensors.symlink_to("/dev/zero")
    with pytest.raises(AdapterError, match="no regular file"):
        inspect(inside, config)
    tensors.unlink()
    tensors.symlink_to(TENSORS)
    with pytest.raises(AdapterError):
        inspect(inside, config, root=root)
    with pytest.raises(AdapterError, match="cannot be"):
        inspect(root / "a\0b", config, root=root)
    with pytest.raises(AdapterError):
        inspect(root / ("x" * 5000), config, root=root)


def test_a_huge_sparse_file_costs_nothing(tmp_path: Path, config: ModelConfig) -> None:
    path = make_adapter(tmp_path / "a", seed=1)
    os.truncate(path / TENSORS, 1 << 40)
    with pytest.raises(AdapterError, match="belong to no tensor"):
        inspect(path, config)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_does_more_than_refuse(tmp_path: Path, config: ModelConfig, data: st.DataObject) -> None:
    """Bytes flipped, cut out, doubled or overwritten anywhere, the header's favourites first: read, or refused."""
    path = make_adapter(tmp_path / "a", seed=1, rank=2, targets=("q", "k"))
    file = path / data.draw(st.sampled_from([TENSORS, "adapter_config.json"]))
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.integers(0, min(len(raw), 2000)), st.integers(0, len(raw))))
        size = data.draw(st.integers(0, 64))
        raw[at : at + size] = data.draw(st.binary(max_size=64))
    file.write_bytes(raw)
    refused = ""
    try:
        packed(inspect(path, config), config)
    except AdapterError as error:
        refused = str(error)
    assert not refused or str(path) in refused, "the message says which file"


def test_threads_share_the_parsed_headers(tmp_path: Path, config: ModelConfig) -> None:
    """Adapters of one shape have one header; it is parsed once, also when several threads ask."""
    paths = [make_adapter(tmp_path / f"{i}", seed=i, rank=7) for i in range(6)]
    peft._entries.cache_clear()
    threads = [threading.Thread(target=inspect, args=(path, config)) for path in paths]
    inspect(paths[0], config)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peft._entries.cache_info().misses == 1 and peft._entries.cache_info().hits == 6
