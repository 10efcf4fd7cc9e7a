"""A random two-layer Llama, adapters for it, and a core on it: small enough for a step in under a millisecond."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from inference.engine.config import EngineConfig
from inference.engine.core import EngineCore
from inference.engine.sequence import SamplingParams, Sequence, StepOutput
from inference.scheduler.prefix_key import encode
from inference.scheduler.protocol import Request
from inference.scheduler.registry import make_scheduler

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 300,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "eos_token_id": 2,
}
DIMS = {"q": (64, 64), "k": (64, 32), "v": (64, 32), "o": (64, 64), "gate": (64, 96), "up": (64, 96), "down": (96, 64)}
PAGE_BYTES = 2 * 4 * 2 * 2 * 16 * 4  # layers * tokens * (k, v) * kv heads * head size * float32, for pages of 4 tokens


def tensors(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Random weights by their Hugging Face names, wide enough spread that argmax wanders."""
    rng = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=rng) * 1.5 / math.sqrt(columns)

    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    q, kv = (config["head_dim"] * config[f"num_{kind}_heads"] for kind in ("attention", "key_value"))
    found = {"model.embed_tokens.weight": matrix(vocab, hidden) * 4, "model.norm.weight": torch.ones(hidden)}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found[f"{at}{norm}.weight"] = 1 + 0.1 * torch.randn(hidden, generator=rng)
        shapes = {"q": (q, hidden), "k": (kv, hidden), "v": (kv, hidden), "o": (hidden, q)}
        for name, shape in shapes.items():
            found[f"{at}self_attn.{name}_proj.weight"] = matrix(*shape)
        for name, shape in {"gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner)}.items():
            found[f"{at}mlp.{name}_proj.weight"] = matrix(*shape)
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = matrix(vocab, hidden)
    return found


def make_model(path: Path, seed: int = 0, **changes: Any) -> Path:
    """Write a Hugging Face directory with random weights."""
    config = CONFIG | changes
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    save_file(tensors(config, seed), path / "model.safetensors")
    return path


def adapter_tensors(seed: int, rank: int, targets: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Random LoRA matrices by their PEFT names, strong enough to change what the model says."""
    rng = torch.Generator().manual_seed(seed)
    found = {}
    for layer in range(2):
        for target in targets:
            part = "mlp" if target in ("gate", "up", "down") else "self_attn"
            key = f"base_model.model.model.layers.{layer}.{part}.{target}_proj"
            in_dim, out_dim = DIMS[target]
            found[f"{key}.lora_A.weight"] = torch.randn(rank, in_dim, generator=rng) / math.sqrt(in_dim)
            found[f"{key}.lora_B.weight"] = torch.randn(out_dim, rank, generator=rng) / math.sqrt(rank)
    return found


def make_adapter(path: Path, seed: int, rank: int = 4, targets: tuple[str, ...] = tuple(DIMS), **changes: Any) -> Path:
    """Write a PEFT directory with random matrices."""
    path.mkdir(parents=True, exist_ok=True)
    names = [f"{target}_proj" for target in targets]
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": names, "bias": "none"}
    (path / "adapter_config.json").write_text(json.dumps(config | changes))
    save_file(adapter_tensors(seed, rank, targets), path / "adapter_model.safetensors")
    return path


def make_core(model: Path, pages: int = 200, **settings: Any) -> EngineCore:
    """A core with pages of 4 tokens under the default scheduler, its queue wide open; so small that threads only wait."""
    given = {
        "page_tokens": 4,
        "pool_bytes": (pages + 1) * PAGE_BYTES,
        "max_running": 8,
        "max_batch_tokens": 32,
        "threads": 1,
    }
    config = EngineConfig(model, **(given | settings))
    return EngineCore(config, make_scheduler(max_waiting_per_client=1000, max_waiting=10_000))


def sequence(
    name: str, prompt: list[int], adapter: str | None = None, client: str = "c", salt: str | None = None, **params: Any
) -> Sequence:
    """A request; greedy and 12 tokens long unless said otherwise."""
    sampling = replace(SamplingParams(temperature=0.0, max_tokens=12), **params)
    return Sequence(name, prompt, sampling, adapter, Request(name, client, meta={"cache_salt": salt}))


def prompt(seed: int, length: int) -> list[int]:
    return random.Random(seed).choices(range(3, 300), k=length)


def drain(core: EngineCore, now: float = 0.0, limit: int = 10_000) -> list[StepOutput]:
    """Step until nothing is left, and return everything said."""
    said: list[StepOutput] = []
    for _ in range(limit):
        if not core.has_work():
            return said
        said += core.step(now)
        now += 0.1
    raise AssertionError(f"not done after {limit} steps: {core.stats()}")


def check_pages(core: EngineCore) -> None:
    """Every page has exactly the owners it should, and who reads the tree reads the pages of its own tokens."""
    tree, owners = core._batch.prefix.tree, Counter[int]()
    for seq in core._batch.running.values():
        owners.update(seq.pages)
        text, pages, node = b"", list[int](), seq.reuse.node
        while node is not None:
            text, pages, node = node.text + text, node.pages + pages, node.parent
        assert text == encode(seq.tokens(0, len(pages) * tree.page_tokens)) and pages == seq.pages[: len(pages)]
    nodes = [tree._root]
    for node in nodes:  # grows while it is walked
        owners.update(node.pages)
        nodes += node.children.values()
    for pages in core.adapter_store.held_pages():
        owners.update(pages)
    assert {page: core.pool.refs(page) for page in owners} == owners
    assert core.pool.capacity - core.pool.free == len(owners)
    assert sum(len(node.pages) for node in nodes) * tree.page_tokens == tree.total


def check_idle(core: EngineCore) -> None:
    """Nothing is left of any request but what the prefix cache keeps, and that can be freed to the last page."""
    check_pages(core)
    prefix = core._batch.prefix
    assert not core.has_work() and core.scheduler.waiting() == 0
    assert prefix.tree.protected == 0 and len(prefix._in_batch) == 0
    assert core.stats()["pages_used"] == core.pool.used == 0
    assert core.pool.make_room(core.pool.capacity) and core.pool.free == core.pool.capacity


def generate(core: EngineCore, *sequences: Sequence) -> dict[str, list[int]]:
    """Run the sequences together; the tokens of each."""
    for seq in sequences:
        assert core.add(seq, 0.0).accepted
    tokens: dict[str, list[int]] = {seq.id: [] for seq in sequences}
    for output in drain(core):
        assert output.error is None
        tokens[output.seq_id] += output.token_ids
    return tokens


def computed(core: EngineCore) -> int:
    return core.stats()["computed_tokens_total"]


def cached(core: EngineCore, *sequences: Sequence) -> dict[str, int]:
    """Run the sequences together; the cached tokens that each is told."""
    for seq in sequences:
        assert core.add(seq, 0.0).accepted
    told: dict[str, int] = {}
    for output in drain(core):
        told[output.seq_id] = told.get(output.seq_id, 0) + output.cached_tokens
    return told
