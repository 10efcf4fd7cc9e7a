"""Requests for many adapters, and our engine serving them in a closed loop."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence as Many
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from inference.engine.config import Device, EngineConfig
from inference.engine.core import EngineCore
from inference.engine.sequence import Sequence
from inference.engine.weights import ModelConfig
from inference.scheduler.registry import make_scheduler
from tests.bench import _adapters
from tests.inference.engine.tiny import sequence

SEED = 8
ALPHA = 1.0  # adapter i is asked in proportion to 1 / (i + 1) ** ALPHA
BACKLOG = 8  # requests that wait while all streams are busy: as many as are prefetched for
POOL_BYTES = 1536 << 20  # KV of 32 streams and the adapters that are in use
CACHE_BYTES = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: random tokens, so that nothing is shared."""

    id: str
    prompt: list[int]
    output: int
    adapter: int


def requests(
    count: int, adapters: int, vocab: int, inputs: tuple[int, int], outputs: tuple[int, int], seed: int = SEED
) -> list[Asked]:
    """`count` requests; prompts and lengths are the same for any number of adapters."""
    texts, draws = random.Random(seed), random.Random(seed + 1)
    weights = list(accumulate(1 / (i + 1) ** ALPHA for i in range(adapters)))
    found = []
    for i in range(count):
        prompt = texts.choices(range(3, vocab), k=texts.randint(*inputs))
        (adapter,) = draws.choices(range(adapters), cum_weights=weights)
        found.append(Asked(f"r{i}", prompt, texts.randint(*outputs), adapter))
    return found


def make_adapters(root: Path, config: ModelConfig, count: int, asked: Many[Asked]) -> int:
    """Adapters a0 ... in `root`, a file of its own for each that is asked; the others, which nobody reads, are links."""
    used, total = {one.adapter for one in asked}, 0
    first: dict[int, Path] = {}  # by rank
    for i in sorted(range(count), key=lambda i: (i not in used, i)):
        path, rank = root / f"a{i}", _adapters.RANKS[i % len(_adapters.RANKS)]
        if i in used or rank not in first:
            total += _adapters.write(path, config, rank, seed=i)
            first.setdefault(rank, path)
        else:
            _adapters.link(path, rank, first[rank])
    return total


@dataclass(frozen=True, slots=True)
class Served:
    """What one run took. `full`: share of steps in which every stream computed or the step's tokens were used up, counted
    while requests wait."""

    cpu_s: float
    wall_s: float
    tokens: int
    full: float
    loads: int
    steps: int

    @property
    def per_cpu_s(self) -> float:
        """Output tokens per CPU second of the process, all threads."""
        return self.tokens / self.cpu_s


class Engine:
    """Our engine with `count` adapters of `root` registered, none of them read yet."""

    def __init__(self, model: Path, root: Path, count: int, streams: int, device: Device = "cpu") -> None:
        config = EngineConfig(
            model,
            device=device,
            pool_bytes=POOL_BYTES,
            max_running=streams,
            adapter_cache_bytes=CACHE_BYTES,
            prefetch_requests=BACKLOG,
        )
        self.streams, self._full, self._steps = streams, 0, 0
        self.core = EngineCore(config, make_scheduler(max_waiting_per_client=10_000, max_waiting=10_000))
        store = self.core.adapter_store
        for i in range(count):
            store.register(f"a{i}", store.inspect(root / f"a{i}"))
        self.core.add(sequence("warm", [5] * 32, max_tokens=4), 0.0)
        while self.core.has_work():
            self.core.step(0.0)
        batch = self.core._batch
        self._pick, batch.pick = batch.pick, self._counted  # type: ignore[method-assign]

    def _counted(self) -> list[tuple[Sequence, int]]:
        picks = self._pick()
        if picks and self.core._batch.waiting:
            self._steps += 1
            used_up = sum(count for _, count in picks) == self.core.config.batch_tokens
            self._full += len(picks) == self.streams or used_up
        return picks

    def serve(self, asked: Many[Asked]) -> Served:
        """A closed loop: `streams` run and BACKLOG wait, until all have been asked."""
        core, waiting = self.core, list(reversed(asked))
        begin, cpu = time.perf_counter(), time.process_time()
        tokens = open_ = 0
        while waiting or core.has_work():
            while waiting and open_ < self.streams + BACKLOG:
                one = waiting.pop()
                arrival = core.add(
                    sequence(one.id, one.prompt, f"a{one.adapter}", one.id, max_tokens=one.output), begin
                )
                assert arrival.accepted
                open_ += 1
            for output in core.step(time.perf_counter()):
                assert output.error is None, output.error
                tokens += len(output.token_ids)
                open_ -= output.finish_reason is not None
        cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
        loads = int(core.stats()["adapter_loads_total"])
        assert tokens == sum(one.output for one in asked)
        return Served(cpu, wall, tokens, self._full / max(1, self._steps), loads, self._steps)
