"""Sampling against the distribution it should have, and log-probabilities against a plain softmax."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine import sampler
from inference.engine.sequence import SamplingParams
from tests.inference.engine.tiny import sequence

VOCAB = 5000


def reference(scores: np.ndarray, params: SamplingParams) -> np.ndarray:
    """The truncated distribution, by sorting everything in float64: temperature, then top-k, then top-p."""
    scaled = scores.astype(np.float64) / params.temperature
    order = np.argsort(-scaled, kind="stable")
    if params.top_k:
        order = order[: params.top_k]
    probs = np.exp(scaled[order] - scaled[order].max())
    probs /= probs.sum()
    keep = np.cumsum(probs) - probs < params.top_p
    found = np.zeros_like(scaled)
    found[order[keep]] = probs[keep] / probs[keep].sum()
    return found


@given(
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.01, 0.5, 3.0, 20.0]),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.999, 1.0]),
    top_k=st.sampled_from([0, 1, 40, VOCAB]),
    u=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=80, deadline=None)
def test_a_draw_is_the_quantile_of_the_truncated_distribution(seed, spread, temperature, top_p, top_k, u):
    """The chosen token is allowed, and `u` falls in its stretch of the distribution laid out in some fixed order."""
    scores = np.random.default_rng(seed).normal(0, spread, VOCAB).astype(np.float32)
    params = SamplingParams(temperature=temperature, top_p=top_p, top_k=top_k)
    expected = reference(scores, params)
    token = sampler._draw(torch.from_numpy(scores), params, u)
    order = np.arange(VOCAB) if top_k == 0 and top_p == 1 else np.argsort(-scores, kind="stable")
    end = np.cumsum(expected[order])
    place = int(np.flatnonzero(order == token)[0])
    assert expected[token] > 0 or min(abs(u - end[max(0, place - 1)]), abs(u - end[place])) < 1e-4
    assert end[place] - expected[token] - 1e-4 <= u <= end[place] + 1e-4


def test_frequencies_follow_the_probabilities():
    """20,000 draws of one request: within five standard errors of each probability."""
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0, -9.0])
    seq = sequence("x", [1], temperature=1.0, seed=3)
    draws = np.bincount([sampler.sample(scores.unsqueeze(0), [seq])[0] for _ in range(20_000)], minlength=5) / 20_000
    probs = torch.softmax(scores, 0).numpy()
    assert np.all(np.abs(draws - probs) < 5 * np.sqrt(probs * (1 - probs) / 20_000) + 1e-9)


def test_rows_are_independent_of_their_neighbours():
    scores = torch.randn(6, VOCAB, generator=torch.Generator().manual_seed(0))
    kinds = [{"temperature": 0.0}, {"temperature": 0.7, "top_p": 0.9}, {"temperature": 1.3, "top_k": 20}] * 2

    def seqs() -> list:
        return [sequence(str(i), [1], seed=i, **kind) for i, kind in enumerate(kinds)]

    together = sampler.sample(scores, seqs())
    assert together == [sampler.sample(scores[i : i + 1], [seq])[0] for i, seq in enumerate(seqs())]
    assert together[0] == int(scores[0].argmax())


def test_seeds_repeat_and_differ():
    scores = torch.zeros(1, VOCAB)

    def stream(seed: int | None) -> list:
        seq = sequence("x", [1], temperature=1.0, seed=seed)
        return [sampler.sample(scores, [seq])[0] for _ in range(8)]

    assert stream(1) == stream(1) != stream(2)
    assert stream(2**64 - 1) == stream(2**64 - 1)
    assert stream(None) != stream(None)


def test_scores_that_are_not_finite_give_no_token():
    scores = torch.zeros(3, 10)
    scores[0, 3] = torch.nan
    scores[1, 3] = torch.inf
    seqs = [sequence(str(i), [1], temperature=1.0, seed=0) for i in range(3)]
    assert [token is None for token in sampler.sample(scores, seqs)] == [True, True, False]


def test_logprobs_and_ranks():
    scores = torch.tensor([[0.0, 3.0, 1.0], [5.0, 1.0, 1.0]])
    first, second = sampler.logprobs(scores, [2, 0], [0, 9])
    expected = torch.log_softmax(scores, -1)
    assert (first.token_id, first.rank, first.top) == (2, 2, ())
    assert first.logprob == pytest.approx(float(expected[0, 2]))
    assert (second.rank, [token for token, _ in second.top]) == (1, [0, 1, 2])
    assert [value for _, value in second.top] == pytest.approx(expected[1].tolist())
