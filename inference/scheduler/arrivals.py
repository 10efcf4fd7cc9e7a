"""What arrives at the simulated engine: jobs, and generators of the workloads of the VTC paper (OSDI'24, section 5).

All are seeded; times are seconds from the start, lengths tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from inference.scheduler.protocol import ServiceClass


@dataclass(frozen=True, slots=True)
class Job:
    """One request as the world knows it: `output_len` is what it will really say, which no policy is told.

    The first `prefix_len` of its `input_len` tokens are those of every job with the same `prefix`.
    """

    at: float
    client: str
    input_len: int
    output_len: int
    prefix: str = ""
    prefix_len: int = 0
    group: str = ""
    klass: ServiceClass = ServiceClass.BATTLE
    pair: str | None = None
    pair_size: int = 1
    adapter: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.prefix_len <= self.input_len or min(self.input_len, self.output_len) < 1:
            raise ValueError(f"lengths are at least 1, a prefix is part of the input: {self}")


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """By arrival; jobs of one moment keep their order."""
    return sorted(jobs, key=lambda job: job.at)


def uniform(
    rates: Sequence[float], duration_s: float, input_len: int, output_len: int, seed: int, off_s: float = 0.0
) -> list[Job]:
    """Client i sends `rates[i]` requests a second, evenly spaced from a random phase.

    With `off_s` the first client is silent in every second period of that length (the on/off suites).
    """
    rng = random.Random(seed)
    jobs = []
    for i, rate in enumerate(rates):
        first = (1 + rng.random()) / rate
        times = [first + k / rate for k in range(int(rate * duration_s))]
        on = [t for t in times if not (off_s and i == 0 and int(t // off_s) % 2)]
        jobs += [Job(t, f"c{i}", input_len, output_len) for t in on]
    return in_order(jobs)


def poisson(rates: Sequence[float], duration_s: float, lengths: Sequence[tuple[int, int]], seed: int) -> list[Job]:
    """Client i sends requests of `lengths[i]` (input, output) as a Poisson process of `rates[i]` a second."""
    rng = random.Random(seed)
    jobs = []
    for i, (rate, (input_len, output_len)) in enumerate(zip(rates, lengths, strict=True)):
        at = rng.expovariate(rate)
        while at < duration_s:
            jobs.append(Job(at, f"c{i}", input_len, output_len))
            at += rng.expovariate(rate)
    return in_order(jobs)


def jittered(jobs: Iterable[Job], by_s: float, seed: int) -> list[Job]:
    """A copy in which every arrival moves by up to `by_s` seconds either way (not before 0)."""
    rng = random.Random(seed)
    return in_order(replace(job, at=max(0.0, job.at + rng.uniform(-by_s, by_s))) for job in jobs)
