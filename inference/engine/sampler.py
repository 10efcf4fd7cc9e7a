"""From scores to tokens, row by row: what a sequence gets depends on its own scores, parameters and random stream only.

One uniform number per sampled token goes through the inverse of the cumulative distribution, after top-k, then top-p.
Tests: tests/inference/engine/test_sampler.py.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows

import torch
from torch import Tensor

from inference.engine.sequence import SamplingParams, Sequence, TokenLogprob

# A nucleus is looked for among this many of the likeliest tokens first: a sort of the whole vocabulary is slow.
CANDIDATES = (128, 2048)


@torch.inference_mode()
def sample(logits: Tensor, sequences: Rows[Sequence]) -> list[int | None]:
    """One token per row of `logits` (rows, vocab), float32. None where the scores are not finite."""
    best = logits.max(dim=-1)
    tokens = finite(best.indices, best.values)
    for row, seq in enumerate(sequences):
        if tokens[row] is not None and seq.params.temperature > 0:
            tokens[row] = _draw(logits[row], seq.params, seq.uniform())
    return tokens


def finite(indices: Tensor, values: Tensor) -> list[int | None]:
    """The likeliest token of each row, None where its score is not finite."""
    return [i if ok else None for i, ok in zip(indices.tolist(), torch.isfinite(values).tolist(), strict=True)]


def _draw(scores: Tensor, params: SamplingParams, u: float) -> int:
    """The token at quantile `u` of the truncated distribution of `scores` (vocab)."""
    scores = (scores / params.temperature).double()
    vocab = scores.shape[0]
    if params.top_k == 0 and params.top_p >= 1:
        return _invert(torch.softmax(scores, 0), u)
    if 0 < params.top_k < vocab:
        kept = scores.topk(params.top_k)
        probs = torch.softmax(kept.values, 0)
        return int(kept.indices[_invert(_nucleus(probs, params.top_p), u)])
    total = scores.logsumexp(0)
    for count in (*(n for n in CANDIDATES if n < vocab), vocab):
        kept = scores.topk(count)
        probs = (kept.values - total).exp()
        if count == vocab or float(probs.sum()) >= params.top_p:
            break
    return int(kept.indices[_invert(_nucleus(probs, params.top_p), u)])


def _nucleus(probs: Tensor, top_p: float) -> Tensor:
    """The head of descending `probs` whose mass first reaches `top_p`; never empty."""
    before = probs.cumsum(0) - probs
    return probs[: max(1, int((before < top_p).sum()))]


def _invert(probs: Tensor, u: float) -> int:
    """Index at quantile `u` of `probs`, which need not sum to 1."""
    cumulative = probs.cumsum(0)
    target = torch.tensor(u * float(cumulative[-1]), dtype=cumulative.dtype, device=cumulative.device)
    return min(int(torch.searchsorted(cumulative, target, right=True)), len(cumulative) - 1)


@torch.inference_mode()
def logprobs(logits: Tensor, tokens: Rows[int], tops: Rows[int]) -> list[TokenLogprob]:
    """Log-probability and rank of `tokens` under `logits` (rows, vocab), with the `tops` likeliest beside each."""
    lp = logits.log_softmax(-1)
    chosen = lp.gather(1, torch.tensor(list(tokens), device=lp.device).unsqueeze(1))
    ranks = ((lp > chosen).sum(1) + 1).tolist()
    most = max(tops, default=0)
    best = lp.topk(min(most, lp.shape[1])) if most else None
    values = best.values.tolist() if best else [[]] * len(tokens)
    indices = best.indices.tolist() if best else [[]] * len(tokens)
    return [
        TokenLogprob(token, value, rank, tuple(zip(ids[:top], scores[:top], strict=True)))
        for token, value, rank, top, ids, scores in zip(
            tokens, chosen.squeeze(1).tolist(), ranks, tops, indices, values, strict=True
        )
    ]
