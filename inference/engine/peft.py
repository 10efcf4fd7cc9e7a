"""Reading LoRA adapters from disk: PEFT directories, safetensors only, nothing believed that was not checked.

`inspect` reads the configuration and the file's header (milliseconds, so that thousands can be registered), packing.py the
values. Both refuse with AdapterError whatever does not fit the base model; neither unpickles anything, follows a link out of
the folder it was given, opens what is no regular file, or allocates by a number that a file claims. Files are read, not
mapped: a mapped file that somebody truncates kills the process that looks at it.
Tests: tests/inference/engine/test_peft.py (garbage of every kind).
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import torch

from inference.engine.lora import MODULES, Shape, dims
from inference.engine.sequence import AdapterError, AdapterMissing
from inference.engine.tensorfile import Entry, TensorFileError, header_text, parse_header
from inference.engine.weights import ModelConfig

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
MAX_CONFIG_BYTES, MAX_HEADER_BYTES = 1 << 20, 1 << 23
KEY = re.compile(
    r"base_model\.model\.(?:model\.)?layers\.(?P<layer>\d{1,6})\.(?:self_attn|mlp)\.(?P<module>[a-z]+_proj)"
    r"\.lora_(?P<side>[AB])(?:\.default)?\.weight"
)
# Settings that change the arithmetic: any other value than these is refused.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "use_dora": (False, None),
    "bias": ("none", None),
    "fan_in_fan_out": (False, None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "trainable_token_indices": (None, []),
    "layer_replication": (None, []),
    "use_qalora": (False, None),
}
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

Signature = tuple[int, int, int, int]


class Found(dict[tuple[int, int, str], Entry]):
    """(layer, index into MODULES, side) -> where it lies. Files with the same header share one, and nobody changes it."""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


@dataclass(frozen=True, slots=True)
class Spec:
    """An adapter that was inspected: `file` with `signature` (device, inode, bytes, mtime) holds rows of `shape`."""

    file: Path
    signature: Signature
    shape: Shape
    scale: float

    @property
    def file_bytes(self) -> int:
        """Size of the tensor file."""
        return self.signature[2]


def inspect(
    path: Path, config: ModelConfig, max_rank: int, dtype: torch.dtype | None, root: Path | None = None
) -> Spec:
    """What the PEFT directory `path` holds, checked against the base model but for the values.

    `dtype` is that of the rows in the pool (None: the file's own). With `root`, neither the directory nor its files may lie
    outside it, links followed.
    """
    rank, scale, targets = _read_config(_confined(path / CONFIG, root), max_rank)
    file = _confined(path / TENSORS, root)
    with open_file(file, "only safetensors adapters are read, never pickles") as (handle, found_as):
        entries = read_entries(handle, file, found_as[2], config, rank)
    _check_targets(file, targets, entries)
    kinds = {entry.dtype for entry in entries.values()}
    own = kinds.pop() if len(kinds) == 1 else torch.float32
    modules = [tuple(m for m in range(len(MODULES)) if (i, m, "A") in entries) for i in range(config.layers)]
    return Spec(file, found_as, Shape(rank, tuple(modules), dtype or own), scale)


def signature(file: Path) -> Signature | None:
    """Which version of a file is there now; None when there is none."""
    try:
        return _signature(os.stat(file))
    except OSError:
        return None


# -- configuration -----------------------------------------------------------------------------------------------------


def _read_config(path: Path, max_rank: int) -> tuple[int, float, object]:
    """(rank, scale, target modules as they stand there)."""
    raw = _read_json(path)
    if raw.get("peft_type") != "LORA":
        raise AdapterError(f"{path}: peft_type {str(raw.get('peft_type'))[:64]!r} is not supported, only 'LORA'")
    for setting, neutral in NEUTRAL.items():
        if setting in raw and raw[setting] not in neutral:
            raise AdapterError(f"{path}: {setting} = {str(raw[setting])[:64]} is not supported")
    rank, alpha = raw.get("r"), raw.get("lora_alpha")
    if type(rank) is not int or not 1 <= rank <= max_rank:
        raise AdapterError(
            f"{path}: rank r = {str(rank)[:64]} must be an integer between 1 and {max_rank} (max_adapter_rank)"
        )
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not abs(alpha) <= 1e6:
        raise AdapterError(f"{path}: lora_alpha = {str(alpha)[:64]} must be a number of at most 1e6")
    return rank, alpha / (math.sqrt(rank) if raw.get("use_rslora") else rank), raw.get("target_modules")


def _read_json(path: Path) -> dict[str, Any]:
    with open_file(path, f"an adapter is a PEFT directory with {CONFIG} and {TENSORS}") as (handle, _):
        text = handle.read(MAX_CONFIG_BYTES + 1)
    if len(text) > MAX_CONFIG_BYTES:
        raise AdapterError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{path} is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise AdapterError(f"{path} holds no JSON object")
    return raw


def _check_targets(file: Path, targets: object, entries: Found) -> None:
    """The configuration's list of modules and the tensors must agree; a pattern is taken as it is."""
    if not isinstance(targets, list):
        return
    named = {str(target).rpartition(".")[2] for target in targets}
    if unknown := sorted(named - set(MODULES)):
        known = ", ".join(MODULES)
        raise AdapterError(f"{file.parent}: target module {unknown[0][:64]!r} is not supported; known are {known}")
    found = {MODULES[module] for _, module, _ in entries}
    if odd := sorted(found ^ named):
        where = "tensors but not target_modules" if odd[0] in found else "target_modules but no tensors"
        raise AdapterError(f"{file}: {odd[0]} has {where}")


# -- tensors -----------------------------------------------------------------------------------------------------------


def read_entries(handle: BinaryIO, path: Path, size: int, config: ModelConfig, rank: int) -> Found:
    """Every tensor, checked for its name, shape and partner; together they must be the file, no byte more or twice."""
    try:
        text = header_text(handle, path, size, MAX_HEADER_BYTES)
        return _entries(text, size, config, rank)
    except (TensorFileError, AdapterError) as error:
        raise AdapterError(f"{path}: {error}") from None


@lru_cache(maxsize=64)
def _entries(text: bytes, size: int, config: ModelConfig, rank: int) -> Found:
    """As `read_entries`, of the header alone: adapters of one shape usually have the same, to the byte."""
    header = parse_header(text, "its header", size)
    if not header:
        raise AdapterError("it holds no tensors")
    found = Found()
    for key, entry in header.items():
        match = KEY.fullmatch(key)
        if match is None or match["module"] not in MODULES or int(match["layer"]) >= config.layers:
            raise AdapterError(f"tensor {key[:128]!r} has no place in a model of {config.layers} Llama layers")
        module, side = MODULES.index(match["module"]), match["side"]
        width = dims(config)[module]
        wanted = (rank, width[0]) if side == "A" else (width[1], rank)
        if entry.shape != wanted:
            raise AdapterError(f"{key} has shape {entry.shape}; rank and base model want {wanted}")
        if (int(match["layer"]), module, side) in found:
            raise AdapterError(f"{key} is there twice")
        found[int(match["layer"]), module, side] = entry
    for layer, module, side in found:
        if (layer, module, "B" if side == "A" else "A") not in found:
            raise AdapterError(f"layer {layer} has lora_{side} of {MODULES[module]} without its partner")
    _check_tiling(list(found.values()), size)
    return found


def _check_tiling(entries: list[Entry], size: int) -> None:
    at = min(entry.begin for entry in entries)
    for entry in sorted(entries, key=lambda e: (e.begin, e.end)):
        if entry.begin != at:
            raise AdapterError(f"its tensors overlap or leave holes at byte {min(entry.begin, at)}")
        at = entry.end
    if at != size:
        raise AdapterError(f"{size - at} bytes belong to no tensor")


# -- files -------------------------------------------------------------------------------------------------------------


def _confined(path: Path, root: Path | None) -> Path:
    """`path` with links followed; AdapterError when it leads out of `root`."""
    try:
        real = path.resolve()
        if root is not None and not real.is_relative_to(root.resolve()):
            raise AdapterError(f"{path} leads out of {root}")
    except (OSError, RuntimeError, ValueError) as error:  # loops, names that no file can have
        raise AdapterError(f"{str(path)[:256]!r} cannot be followed: {error}") from None
    return real


def _signature(found: os.stat_result) -> Signature:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def hold(spec: Spec) -> int:
    """A descriptor that keeps the adapter's file readable after it is deleted. AdapterError."""
    try:
        return os.open(spec.file, FLAGS)
    except OSError as error:
        raise AdapterError(f"{spec.file} cannot be read: {error}") from None


@contextmanager
def open_file(
    path: Path, expected: str = "it was there before", descriptor: int | None = None
) -> Iterator[tuple[BinaryIO, Signature]]:
    """A regular file, opened without following a link or waiting for a pipe. OSErrors become AdapterErrors."""
    try:
        handle = os.open(path, FLAGS) if descriptor is None else os.dup(descriptor)
        with os.fdopen(handle, "rb", buffering=0) as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise AdapterError(f"{path} is no regular file")
            file.seek(0)
            yield file, _signature(found)
    except FileNotFoundError:
        raise AdapterMissing(f"{path} does not exist: {expected}") from None
    except OSError as error:
        raise AdapterError(f"{str(path)[:256]} cannot be read: {error}") from None
