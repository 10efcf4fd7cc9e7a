"""The paged, ragged forward against a plain dense one, in float64 arithmetic written out here."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inference.engine.model import Chunk, _by_length
from tests.inference.engine.tiny import CONFIG, make_core, tensors


def dense_logits(ids: list[int]) -> Tensor:
    """Scores (len(ids), vocab) of the tiny model: every product over the whole sequence, in float64."""
    w = {name: tensor.double() for name, tensor in tensors(CONFIG, 0).items()}
    heads, kv, dim = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["head_dim"]
    x = w["model.embed_tokens.weight"][ids]
    for layer in range(CONFIG["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        h = norm(x, w[at + "input_layernorm.weight"])
        q, k, v = ((h @ w[f"{at}self_attn.{p}_proj.weight"].T).view(len(ids), -1, dim).transpose(0, 1) for p in "qkv")
        q, k = rotate(q), rotate(k)
        k, v = (t.repeat_interleave(heads // kv, 0) for t in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(dim)
        scores += torch.full(scores.shape[1:], -torch.inf, dtype=torch.float64).triu(1)
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(len(ids), -1)
        x = x + mixed @ w[at + "self_attn.o_proj.weight"].T
        h = norm(x, w[at + "post_attention_layernorm.weight"])
        gate, up = h @ w[at + "mlp.gate_proj.weight"].T, h @ w[at + "mlp.up_proj.weight"].T
        x = x + (gate * gate.sigmoid() * up) @ w[at + "mlp.down_proj.weight"].T
    return norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def norm(x: Tensor, gain: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]).rsqrt() * gain


def rotate(x: Tensor) -> Tensor:
    """Rotary embedding of heads x (heads, T, D), pair i = (i, i + D/2)."""
    half = x.shape[-1] // 2
    freqs = CONFIG["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), freqs)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()), -1)


@given(
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 69), max_size=4),
    seed=st.integers(0, 99),
    kernels=st.sampled_from(["auto", "torch"]),
)
@settings(max_examples=80, deadline=None)
def test_any_split_into_chunks_and_batches_gives_the_dense_scores(tiny_model, lengths, cuts, seed, kernels):
    core = make_core(tiny_model, kernels=kernels)
    rng = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(300, (n,), generator=rng).tolist() for n in lengths]
    pages = [core.pool.alloc(-(-n // 4)) for n in lengths]
    found: list[list[Tensor]] = [[] for _ in prompts]
    bounds = [0, *sorted(set(cuts)), 70]
    for start, end in zip(bounds, bounds[1:], strict=False):
        live = [(i, ids[start:end]) for i, ids in enumerate(prompts) if len(ids) > start]
        if live:
            states = core.model.forward([Chunk(ids, start, pages[i]) for i, ids in live])
            for (i, _), part in zip(live, states.split([len(ids) for _, ids in live]), strict=True):
                found[i].append(core.model.logits(part))
    for ids, parts in zip(prompts, found, strict=True):
        expected = dense_logits(ids)
        assert torch.allclose(torch.cat(parts).double(), expected, atol=2e-3 * float(expected.std()))


def test_padding_at_most_doubles_what_a_decode_step_reads():
    """Groups by context: within one, the longest needs at most twice the pages of the shortest (beyond four pages)."""
    singles = [(row, Chunk([1], length, [])) for row, length in enumerate(range(0, 4000, 13))]
    groups = _by_length(singles, 16)
    assert sorted(row for group in groups for row, _ in group) == list(range(len(singles)))
    for group in groups:
        pages = [-(-chunk.end // 16) for _, chunk in group]
        assert max(pages) <= max(4, 2 * min(pages))


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_garbage_in_unwritten_slots_changes_nothing(tiny_model, kernels):
    """Pages are not cleared between KV owners: what lies beyond a sequence's end must not reach it."""
    core = make_core(tiny_model, kernels=kernels)
    clean = core.model.forward([Chunk([5, 6, 7], 0, core.pool.alloc(1))])
    core.pool.slab_table()[core.pool.layout.slabs :].fill_(1e30)
    page = core.pool.alloc(1)
    first = core.model.forward([Chunk([5, 6], 0, page)])
    last = core.model.forward([Chunk([7], 2, page), Chunk([9] * 1, 0, core.pool.alloc(1))])
    assert torch.allclose(torch.cat((first, last[:1])), clean, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_runs_the_same_path(tiny_model: Path):
    ids = list(range(3, 60))
    scores = []
    for device in ("cpu", "cuda"):
        core = make_core(tiny_model, device=device)
        scores.append(core.model.logits(core.model.forward([Chunk(ids, 0, core.pool.alloc(15))])).cpu())
    assert torch.allclose(*scores, atol=1e-2)
