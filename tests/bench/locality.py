"""`make bench NAME=locality`: throughput and fairness of the policies where clients ask about their own documents.

Simulated engine (Llama-2-7B on an A10G, pool of 10,000 tokens for what runs, at most 32 requests at once) with a prefix cache
of 20,000 or 8,000 tokens beside the pool, least recently used first. 8 clients x 4 documents of 1,500 tokens, questions of 40,
answers of 32 to 96; Poisson arrivals of 6.4 requests a second in all for 600 s, even or with one heavy client
(tests/bench/_workloads.py), seeds 0 ... n-1. Service = input tokens that had to be computed + 2 x output.

- requests per second: all requests over the time until the last ends.
- unfairness: the largest difference in service of two clients in any interval in which both had requests waiting; mean of seeds.
- rps_vs_lpm_min, unfairness_vs_lpm_max: ours (`vtc_locality` with predicted lengths) against longest-prefix-match, worst cell.
- cells_worse_than_dlpm: cells in which DLPM with quantum q is better on either axis.
- bound_violations: runs of ours with a difference above the bound that docs/scheduling.md states.
`--trace FILE` replaces the workload by one trace (prefix groups are the documents). `--smoke` runs everything at toy size.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from inference.scheduler.arrivals import Job
from inference.scheduler.credibility import PRIOR
from inference.scheduler.engine_model import EngineModel
from inference.scheduler.fairness import BacklogMonitor
from inference.scheduler.registry import make_scheduler
from inference.scheduler.simulator import Simulator
from inference.scheduler.vtc_locality import SLACK
from tests.bench._workloads import EVEN, HEAVY, TraceError, documents, read_trace

Q = SLACK
CACHES = (20_000, 8_000)
POOL, BATCH = 10_000, 32
OURS = "vtc+slack, predicted"
POLICIES: dict[str, tuple[str, dict[str, object]]] = {
    "fcfs": ("fcfs", {}),
    "lpm": ("lpm", {"fcfs_beyond": None}),
    "vtc, all input": ("vtc", {}),
    "vtc, uncached": ("vtc", {"charge_cached": False}),
    "dlpm": ("dlpm", {"quantum": Q}),
    "vtc+slack": ("vtc_locality", {"slack": Q}),
    OURS: ("vtc_locality", {"slack": Q, "lengths": "credibility"}),
}
GATED = ("lpm", "dlpm", OURS)


@dataclass(frozen=True)
class Score:
    """One policy in one cell: means over the seeds."""

    rps: float
    hit: float
    unfairness: float
    first_token_p95: float


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trace", type=Path, help="CSV: req_time_s,client,prefix_group,prefix_len,suffix_len,output_len"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long requests arrive")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


def one(policy: str, cache: int, jobs: list[Job]) -> Score:
    """One run."""
    name, options = POLICIES[policy]
    monitor = BacklogMonitor()
    scheduler = make_scheduler(name, max_waiting_per_client=10**9, max_waiting=10**9, **options)
    result = Simulator(scheduler, EngineModel(POOL, cache, max_batch=BATCH), monitor).run(jobs)
    served = [s for s in result.served if s.first_token is not None]
    waits = sorted(s.first_token - s.job.at for s in served if s.first_token is not None) or [0.0]
    hit = 1 - sum(s.uncached for s in served) / max(1, sum(s.job.input_len for s in served))
    return Score(len(served) / (result.end or 1.0), hit, monitor.worst, waits[int(len(waits) * 0.95)])


def table(
    cells: dict[str, tuple[list[list[Job]], int]], policies: Sequence[str], pool: Executor
) -> tuple[dict[str, dict[str, Score]], int]:
    """Per cell and policy the means; and how many runs of ours broke the bound."""
    found: dict[str, dict[str, Score]] = {}
    violations = 0
    for cell, (traces, cache) in cells.items():
        found[cell] = {}
        runs = {policy: pool.map(partial(one, policy, cache), traces) for policy in policies}
        for policy, scores in ((policy, list(scores)) for policy, scores in runs.items()):
            if policy == OURS:
                violations += sum(run.unfairness > bound(jobs) for run, jobs in zip(scores, traces, strict=True))
            score = Score(*(fmean(values) for values in zip(*map(_values, scores), strict=True)))
            found[cell][policy] = score
            print(
                f"{cell:14} {policy:22} {score.rps:6.3f} requests/s  hit {score.hit:5.1%}  unfairness {score.unfairness:9.0f}"
                f"  first token p95 {score.first_token_p95:6.1f} s",
                flush=True,
            )
    return found, violations


def _values(score: Score) -> tuple[float, float, float, float]:
    return score.rps, score.hit, score.unfairness, score.first_token_p95


def bound(jobs: list[Job]) -> float:
    """2 (E + P + Q) of docs/scheduling.md.

    E, what a client can be charged between two of its turns: one input, and for its n running requests what they have left,
    of which the look-ahead memory test lets the i-th longest have at most pool / i. P, what it can have paid in advance.
    """
    longest = max(max(job.output_len for job in jobs), PRIOR)
    charged = max(job.input_len for job in jobs) + 2.0 * POOL * sum(1 / i for i in range(1, BATCH + 1))
    return 2 * (charged + 2.0 * BATCH * longest + Q)


def workloads(args: argparse.Namespace) -> dict[str, list[list[Job]]]:
    """Per load its traces. Raises SystemExit where the file is no trace."""
    if args.trace:
        try:
            return {"trace": [read_trace(args.trace)]}
        except TraceError as error:
            raise SystemExit(str(error)) from None
    seeds, seconds = (1, 60.0) if args.smoke else (args.seeds, args.seconds)
    loads = {"even": EVEN, "heavy": HEAVY}
    return {name: [documents(rates, seconds, seed) for seed in range(seeds)] for name, rates in loads.items()}


def main() -> None:
    """Print the table, then the result as the last line."""
    args = arguments()
    cells = {f"{name} {cache}": (traces, cache) for name, traces in workloads(args).items() for cache in CACHES}
    with ProcessPoolExecutor(max(1, args.processes)) as pool:
        found, violations = table(cells, GATED if args.smoke else tuple(POLICIES), pool)
    scores = [(cell[OURS], cell["lpm"], cell["dlpm"]) for cell in found.values()]
    result = {
        "smoke": args.smoke,
        "q": Q,
        "rps_vs_lpm_min": round(min(ours.rps / (lpm.rps or 1.0) for ours, lpm, _ in scores), 4),
        "unfairness_vs_lpm_max": round(max(ours.unfairness / max(lpm.unfairness, 1.0) for ours, lpm, _ in scores), 4),
        "cells_worse_than_dlpm": sum(
            ours.rps < dlpm.rps or ours.unfairness > dlpm.unfairness for ours, _, dlpm in scores
        ),
        "bound_violations": violations,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
