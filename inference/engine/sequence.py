"""What the engine core and its server hand to each other: requests going in, steps coming out. Knows no torch."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from inference.scheduler.protocol import Request

if TYPE_CHECKING:
    from inference.engine.prefix import Reuse

FinishReason = Literal["stop", "length", "abort", "error"]
SHED = "shed: the queue is full, try again later"
EXPIRED = "the engine is too busy to begin this reply in time: ask again later"


class RequestError(ValueError):
    """The request itself can never be served (a 400 for the caller); the message says what to change."""


class AdapterError(ValueError):
    """The adapter cannot be used with this model; the message says why."""


class AdapterMissing(AdapterError):
    """There is no such file."""


class UnknownAdapter(RequestError):
    """There is no adapter of that name (any more): a 404."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to draw tokens. `temperature` 0 is greedy, `top_k` 0 and `top_p` 1 are off, `seed` None is random.

    `logprobs` / `prompt_logprobs`: how many alternatives to report beside the chosen token (0 = only the chosen one,
    None = none at all). Log-probabilities are the model's own, before temperature and truncation.
    `stop_token_ids` end the sequence; the stopping token is the last of `token_ids` and belongs to no text.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int = 256
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = None
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        """Refuse values outside their range (RequestError)."""
        if not 0.0 <= self.temperature <= 100.0:
            raise RequestError(f"temperature is {self.temperature}; it must lie between 0 and 100")
        if not 0.0 < self.top_p <= 1.0:
            raise RequestError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.top_k < 0:
            raise RequestError(f"top_k is {self.top_k}; it must be 0 (off) or more")
        if self.max_tokens < 1:
            raise RequestError(f"max_tokens is {self.max_tokens}; it must be at least 1")
        if self.seed is not None and not 0 <= self.seed < 1 << 64:
            raise RequestError(f"seed is {self.seed}; it must lie between 0 and 2**64 - 1")
        for name in ("logprobs", "prompt_logprobs"):
            if (getattr(self, name) or 0) < 0:
                raise RequestError(f"{name} is {getattr(self, name)}; it must be 0 or more")


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with its natural-log probability and rank (1 = likeliest), and the likeliest tokens at its place.

    `top` is a list of (token id, log-probability), likeliest first.
    """

    token_id: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True, eq=False)
class Sequence:
    """One generation in flight. The caller fills the first five fields; the core owns the rest.

    `num_computed` counts the tokens (prompt, then output) whose keys and values are in `pages`; `cached_tokens` of the
    prompt were there when it started. Keys and values computed after a sparse step differ from those of a dense one: who
    takes the first such step sets `exact` to the tokens computed before it, and no page beyond is ever shared.
    """

    id: str
    prompt_ids: list[int]
    params: SamplingParams
    adapter: str | None
    request: Request
    output_ids: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    num_computed: int = 0
    admission: int = -1
    preemptions: int = 0
    cached_tokens: int = 0
    exact: int | None = None
    reuse: Reuse | None = None
    prompt_logprobs: list[TokenLogprob | None] | None = None
    _rng: np.random.Generator | None = None

    def __len__(self) -> int:
        """Tokens so far, prompt and output."""
        return len(self.prompt_ids) + len(self.output_ids)

    def tokens(self, start: int, end: int) -> list[int]:
        """Token ids [start, end) of prompt followed by output."""
        split = len(self.prompt_ids)
        if end <= split:
            return self.prompt_ids[start:end]
        return self.prompt_ids[start:] + self.output_ids[max(0, start - split) : end - split]

    def uniform(self) -> float:
        """The next number in [0, 1) of this sequence's own stream: one per sampled token, whatever else is running."""
        if self._rng is None:
            seed = self.params.seed
            self._rng = np.random.Generator(np.random.Philox(key=secrets.randbits(64) if seed is None else seed))
        return float(self._rng.random())


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What one step brought for one sequence. `finish_reason` None means that more follows.

    `token_ids` are the new tokens of this step (one while decoding; the stopping token included). `logprobs` runs
    parallel to it when asked for. `prompt_logprobs` comes once, with the first token; its first entry is None, since
    nothing precedes the first prompt token. `cached_tokens` comes with the first token too: how many of the prompt were not
    computed for it. `error` says what went wrong when `finish_reason` is "error". `dropped`: nothing did, the scheduler let go
    of it while it waited, and it may be asked for again later.
    """

    seq_id: str
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    prompt_logprobs: list[TokenLogprob | None] | None = None
    finish_reason: FinishReason | None = None
    error: str | None = None
    cached_tokens: int = 0
    dropped: bool = False
