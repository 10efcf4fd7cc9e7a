"""What the simulator is told about an engine, what it tells while it runs (`Observer`), and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from inference.scheduler.arrivals import Job
from inference.scheduler.cost_profile import CostProfile
from inference.scheduler.protocol import Request


@dataclass(frozen=True, slots=True)
class EngineModel:
    """The engine that is modelled. Tokens, decode steps; `planned` is the output length that the memory test counts on."""

    pool_tokens: int = 10_000
    cache_tokens: int | None = None  # of cached prefixes, beside the pool; None: they share it with what runs
    prefill_tokens: int | None = None  # of one pass; None: max(pool / 6, 3072), the artifact's
    admit_every: int = 1
    max_batch: int = 1_000
    max_output: int = 1_024
    replan_tokens: int = 64  # by so much a plan grows that was too short
    profile: CostProfile = field(default_factory=CostProfile)
    planned: Callable[[Job], int] | None = None  # None: the real length, as in the artifact, so nothing is preempted
    whole: bool = False  # besides, a request starts only if all that it MAY say (`max_output`) is free too
    tell_lengths: bool = False  # write the real length into `Request.meta`, for the oracle

    @property
    def prefill_limit(self) -> int:
        return self.prefill_tokens or max(self.pool_tokens // 6, 3_072)


@dataclass(slots=True)
class Served:
    """What became of a job. Times in seconds; None where it did not come to that. `refused` says why it was not served."""

    job: Job
    first_token: float | None = None
    end: float | None = None
    uncached: int = 0
    refused: str = ""


@dataclass(slots=True)
class Result:
    """One run: jobs in order of arrival, engine passes, tokens."""

    served: list[Served]
    end: float = 0.0
    decode_steps: int = 0
    prefill_steps: int = 0
    output_tokens: int = 0
    input_tokens: int = 0
    uncached_tokens: int = 0
    preemptions: int = 0
    peak_tokens: int = 0

    @property
    def rejected(self) -> int:
        return sum(1 for s in self.served if s.refused)

    @property
    def tokens_per_step(self) -> float:
        """Input and output tokens per pass of the engine."""
        return (self.input_tokens + self.output_tokens) / max(1, self.decode_steps + self.prefill_steps)


class Observer(Protocol):
    """Told of every event that changes service or backlog, so that bounds can be checked while the run goes on."""

    def arrived(self, r: Request, now: float) -> None: ...
    def admitted(self, r: Request, uncached: int, now: float) -> None: ...
    def decoded(self, running: Iterable[Request], now: float) -> None: ...
    def left(self, r: Request, now: float) -> None: ...
