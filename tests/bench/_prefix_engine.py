"""The workloads on the real engine, and what the prefix cache costs it where nothing can be reused."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inference.engine.config import Device, EngineConfig
from inference.engine.core import EngineCore
from inference.scheduler.registry import make_scheduler
from tests.bench import _peers
from tests.bench._prefix_workloads import workload
from tests.bench._replay import Asking, Lpm, sequence_of
from tests.inference.engine.tiny import sequence

TOKENS_IN = TOKENS_OUT = 64
STREAMS = {1: 4, 32: 64}  # streams -> requests
SEED = 2026
TIMED = ("attach", "probe", "start", "ready", "computed", "sampled", "release", "reclaim")
# key of the result -> workload, and the share of its programs that is run
END_TO_END = {"five_shot": ("five_shot", 2 / 57), "tree": ("tree", 2 / 40), "judge": ("judge", 3 / 40)}
END_TO_END |= {"chat": ("chat_arena", 6 / 96)}


class Stopwatch:
    """CPU seconds of the calling thread inside the wrapped functions; a call within another counts once."""

    def __init__(self) -> None:
        self.seconds, self.calls, self._inside = 0.0, 0, False

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            self._inside, begin = True, time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - begin
                self.calls, self._inside = self.calls + 1, False

        return timed


def overhead(model: Path, threads: int | None, streams: int, requests: int) -> dict[str, float]:
    """One engine, `requests` requests that share nothing, `streams` of them at a time."""
    core = EngineCore(EngineConfig(model, threads=threads), make_scheduler(max_waiting_per_client=1000))
    watch, prefix, rng = Stopwatch(), core._batch.prefix, random.Random(SEED)
    for name in TIMED:
        setattr(prefix, name, watch.wrap(getattr(prefix, name)))
    waiting = [rng.choices(range(3, core.model_config.vocab), k=TOKENS_IN) for _ in range(requests)]
    begin = time.process_time()
    while waiting or core.has_work():
        while waiting and len(core._batch.running) + len(core._batch.waiting) < streams:
            core.add(sequence(f"r{len(waiting)}", waiting.pop(), max_tokens=TOKENS_OUT), 0.0)
        core.step(0.0)
    step_s = time.process_time() - begin - watch.seconds
    stats = core.stats()
    assert stats["cached_tokens_total"] == 0, "these requests share nothing"
    return {
        "overhead": round(watch.seconds / step_s, 6),
        "tree_cpu_us_per_step": round(1e6 * watch.seconds / stats["steps_total"], 1),
        "step_cpu_ms": round(1e3 * step_s / stats["steps_total"], 2),
        "evicted_tokens": stats["evicted_tokens_total"],
        "timed_calls": watch.calls,
    }


def serve(
    model: Path, threads: int | None, name: str, share: float, radix: bool, device: Device = "cpu"
) -> dict[str, float]:
    """One workload on a fresh engine: CPU seconds of the whole process from the first request to the last token."""
    config = EngineConfig(model, threads=threads, radix=radix, device=device)
    core = EngineCore(config, Lpm())  # type: ignore[arg-type]
    core.add(sequence("warm", [5] * 32, max_tokens=2), 0.0)
    while core.has_work():
        core.step(0.0)
    calls = workload(name, share, core.model_config.vocab)
    asking, replies = Asking(calls), {call.id: list[int]() for call in calls}
    begin, wall = time.process_time(), time.perf_counter()
    for call in asking.first:
        core.add(sequence_of(call, replies), 0.0)
    while core.has_work():
        for output in core.step(0.0):
            replies[output.seq_id] += output.token_ids
            for call in asking.ended(output.seq_id) if output.finish_reason else ():
                core.add(sequence_of(call, replies), 0.0)
    stats = core.stats()
    return {
        "cpu_s": time.process_time() - begin,
        "wall_s": time.perf_counter() - wall,
        "steps": stats["steps_total"],
        "computed": stats["computed_tokens_total"],
        "hit_rate": stats["prefix_hit_rate"],
        "preemptions": stats["preemptions_total"],
    }


def against_off(
    model: Path, threads: int | None, runs: int, smoke: bool, only: list[str] | None, device: Device = "cpu"
) -> dict[str, dict[str, float]]:
    """Each workload (or `only` these) with and without reuse in turn; the least CPU (cuda: wall) time of `runs` runs each."""
    clock = "cpu_s" if device == "cpu" else "wall_s"
    found: dict[str, dict[str, float]] = {}
    for key, (name, share) in END_TO_END.items():
        if only and key not in only:
            continue
        best: dict[bool, dict[str, float]] = {}
        for _ in range(runs):
            for radix in (True, False):
                took = serve(model, threads, name, 0.0 if smoke else share, radix, device)
                if radix not in best or took[clock] < best[radix][clock]:
                    best[radix] = took
        on, off = best[True], best[False]
        found[key] = {
            "ratio": round(off[clock] / on[clock], 2),
            "cpu_s": round(on["cpu_s"], 1),
            "cpu_s_off": round(off["cpu_s"], 1),
            "wall_s": round(on["wall_s"], 1),
            "wall_ratio": round(off["wall_s"] / on["wall_s"], 2),
            "computed": on["computed"],
            "computed_off": off["computed"],
            "hit_rate": round(on["hit_rate"], 3),
            "preemptions": on["preemptions"],
        }
        print(key, found[key], flush=True)
    return found


def against_vllm(model: Path, rows: Mapping[str, Mapping[str, float]], smoke: bool) -> dict[str, object]:
    """`rows` of `against_off` beside vLLM with its own prefix cache, the same calls: its CPU seconds over ours."""
    why = "peers are not part of a smoke run" if smoke else _peers.absent("vllm")
    if why:
        return {"e2e_vs_vllm": None, "why_e2e_vs_vllm": why}
    found: dict[str, dict[str, float]] = {}
    for key, row in rows.items():
        calls = Asking(workload(*END_TO_END[key])).in_order
        said = [{"id": c.id, "parts": c.parts, "output": len(c.reply), "after": c.after, "salt": c.salt} for c in calls]
        job = {"model": str(model.resolve()), "streams": 32, "max_len": 8192, "lora": None, "calls": said}
        took = _peers.run_job("vllm", job)
        found[key] = {
            "ratio": round(took["cpu_s"] / row["cpu_s"], 2),
            "wall_ratio": round(took["wall_s"] / row["wall_s"], 2),
            "cpu_s": round(took["cpu_s"], 1),
            "cached": took["cached"],
        }
        print("vllm", key, found[key], flush=True)
    return {"e2e_vs_vllm": {key: row["ratio"] for key, row in found.items()}, "e2e_vllm": found}
