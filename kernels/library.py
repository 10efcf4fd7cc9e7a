"""The C library through ctypes: its structs, its functions' types, loading, and the choice of instruction set and threads.

`csrc/agon.h` is the contract; tests/kernels/test_library.py compares the sizes of the structs.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_double, c_int, c_int64, c_void_p
from functools import cache

from kernels import build

log = logging.getLogger(__name__)

LEVELS = ("baseline", "avx2", "avx512")
LEVEL_ENV = "AGON_KERNELS_LEVEL"  # one of LEVELS: at most this instruction set


class Matrix(Structure):
    """agon_matrix."""

    _fields_ = [("data", c_void_p), ("out", c_int64), ("inputs", c_int64), ("kind", c_int64)]


class Layer(Structure):
    """agon_layer."""

    _fields_ = [
        ("attn_norm", c_void_p),
        ("mlp_norm", c_void_p),
        ("qkv", Matrix),
        ("proj", Matrix),
        ("gate_up", Matrix),
        ("down", Matrix),
    ]


class Pages(Structure):
    """agon_pages; strides in floats."""

    _fields_ = [
        ("base", c_void_p),
        ("page_stride", c_int64),
        ("slab_stride", c_int64),
        ("token_stride", c_int64),
        ("tokens", c_int64),
    ]


class Model(Structure):
    """agon_model."""

    _fields_ = [
        *((name, c_int64) for name in ("hidden", "inner", "heads", "kv_heads", "head_dim", "layers", "vocab")),
        ("eps", c_double),
        *((name, c_void_p) for name in ("cos", "sin", "embed", "norm")),
        ("head", Matrix),
        ("layer", POINTER(Layer)),
        ("pages", Pages),
    ]


class LoraModule(Structure):
    """agon_lora_module."""

    _fields_ = [
        ("a", c_void_p),
        ("b", c_void_p),
        ("kind", c_int64),
        ("rank", c_int64),
        ("out_begin", c_int64),
        ("out_width", c_int64),
        ("scale", c_double),
    ]


class LoraAdapter(Structure):
    """agon_lora_adapter."""

    _fields_ = [("modules", c_void_p), ("first", c_void_p)]


class LoraSegment(Structure):
    """agon_lora_segment."""

    _fields_ = [("begin", c_int64), ("end", c_int64), ("adapter", c_void_p)]


class Batch(Structure):
    """agon_batch."""

    _fields_ = [
        ("rows", c_int64),
        *((name, c_void_p) for name in ("ids", "pos", "seq", "first", "table")),
        ("segments", c_int64),
        *((name, c_void_p) for name in ("segment", "x", "normed", "qkv", "mixed", "gate_up", "inner", "lora")),
        ("lora_width", c_int64),
    ]


STRUCTS: tuple[type[Structure], ...] = (
    Matrix, Layer, Pages, Model, LoraModule, LoraAdapter, LoraSegment, Batch,
)  # fmt: skip
_ROWS = [c_void_p, c_int64]
_STEP = [POINTER(Model), POINTER(Batch)]
FUNCTIONS: dict[str, tuple[Sequence[object], object]] = {
    "agon_sizeof": ([c_int], c_int64),
    "agon_best_level": ([], c_int),
    "agon_set_level": ([c_int], c_int),
    "agon_set_threads": ([c_int], c_int),
    "agon_packed_bytes": ([c_int64] * 3, c_int64),
    "agon_pack": ([c_void_p, c_int64, c_int64, c_int64, c_void_p], c_int),
    "agon_linear": ([*_ROWS, POINTER(Matrix), c_void_p, c_int64, c_int], None),
    "agon_rms_norm": ([*_ROWS, c_int64, c_void_p, c_double, c_void_p], None),
    "agon_silu_mul": ([*_ROWS, c_int64, c_void_p], None),
    "agon_argmax": ([*_ROWS, c_int64, c_void_p, c_void_p], None),
    "agon_rope_scatter": ([*_STEP, c_int64], None),
    "agon_attention": ([*_STEP, c_int64], None),
    "agon_lora": ([POINTER(Batch), c_int64, c_int64, c_void_p, c_int64, c_void_p, c_int64], None),
    "agon_forward": (_STEP, None),
    "agon_logits": ([POINTER(Model), *_ROWS, c_void_p, c_void_p, c_void_p, c_void_p], None),
}


@cache
def load() -> ctypes.CDLL | None:
    """The library at its best instruction set with one thread, or None, said once in the log, where it cannot be built."""
    try:
        found = ctypes.CDLL(str(build.library()))
    except (build.BuildError, OSError) as error:
        log.warning("no C kernels: %s; torch does their work", error)
        return None
    for name, (arguments, result) in FUNCTIONS.items():
        function = getattr(found, name)
        function.argtypes, function.restype = arguments, result
    set_level(found, os.environ.get(LEVEL_ENV) or LEVELS[-1])
    return found


def set_level(library: ctypes.CDLL, name: str) -> str:
    """Use instruction set `name`, or the machine's best below it; returns the one in use. ValueError when unknown."""
    if name not in LEVELS:
        raise ValueError(f"{LEVEL_ENV} is {name!r}; it must be one of {', '.join(LEVELS)}")
    return LEVELS[library.agon_set_level(LEVELS.index(name))]


def levels(library: ctypes.CDLL) -> tuple[str, ...]:
    """The instruction sets that this machine can run."""
    return LEVELS[: library.agon_best_level() + 1]
