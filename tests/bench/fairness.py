"""`make bench NAME=fairness`: how fair the policies are in the simulated engine (Llama-2-7B on an A10G, pool of 10,000 tokens).

All policies run on the same copies with the same memory test (the VTC artifact's, which knows how much a request will say; no
policy but the oracle is told), admission in every step. Fixed: seeds 0 ... n-1 of every generator.

- metric_check: the metric code on the published runs of FCFS and VTC: [max, avg, max, avg].
- *_avg, *_max: service difference (tokens of cost per second in windows of 60 s) on `--copies` copies of the published trace,
  arrivals jittered by +-1 s, means over the copies; avg_diff, max_diff: our best policy without oracle (`OURS`).
- suite_acc_vs_vtc: the suites of the paper, `--seeds` seeds each; accumulated difference of service while arrivals last
  (largest over the ticks), ours over plain VTC's.
- bound_violations: random traces (tests/bench/_bounds.py) in which two clients that waited throughout an interval differed by
  more than docs/scheduling.md allows, over plain VTC, ours and VTC with locality.
- engine_*: the same policies drive the real engine (tests/bench/_fair_engine.py).
- e2e_wait_*: the whole product (tests/bench/_e2e_wait.py).
`--trace FILE` puts another trace in the place of the published one; a request larger than the pool is left out of `rejected`
and counted in `too_large`. `--smoke` runs everything at toy size. Runs share `--processes` processes.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import fmean

from inference.scheduler.arrivals import Job, jittered
from inference.scheduler.engine_model import EngineModel, Result
from inference.scheduler.fairness import Window, accumulated_differences, replies, service_differences
from inference.scheduler.registry import make_scheduler
from inference.scheduler.simulator import TOO_LARGE, Simulator
from tests.bench import _bounds, _fair_engine
from tests.bench._workloads import VTC_DATA, TraceError, published_replies, read_trace, suites

POLICIES: dict[str, tuple[str, dict[str, object]]] = {
    "fcfs": ("fcfs", {}),
    "lcf": ("lcf", {}),
    "rpm": ("rpm", {"per_minute": 20}),
    "drr": ("drr", {}),
    "vtc": ("vtc", {}),
    "predicted": ("vtc_predicted", {}),
    "ours": ("vtc", {"lengths": "credibility"}),
    "oracle": ("vtc_oracle", {}),
}
GATED = ("fcfs", "vtc", "oracle", "ours")
UNBOUNDED = {"max_waiting_per_client": 10**9, "max_waiting": 10**9}
MODEL = EngineModel(tell_lengths=True)
JITTER_S = 1.0
PUBLISHED = {
    "fcfs": "434/760", "lcf": "324/750", "rpm": "196/447", "vtc": "252/368", "predicted": "240/365", "oracle": "228/329",
}  # fmt: skip


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trace", type=Path, help="CSV: req_time_s,client,prompt_len,output_len, or with prefix groups"
    )
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--traces", type=int, default=10_000, help="random traces for the bounds")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


def run(policy: str, jobs: list[Job]) -> Result:
    """One policy on one trace; nothing is refused for waiting."""
    name, options = POLICIES[policy]
    return Simulator(make_scheduler(name, **UNBOUNDED, **options), MODEL).run(jobs)


def metric_check() -> list[float]:
    """[max, avg] of FCFS, then of VTC."""
    found = []
    for published in ("fcfs", "vtc"):
        differences = service_differences(published_replies(published), Window())
        found += [round(max(differences), 2), round(fmean(differences), 2)]
    return found


def row(policy: str, window: Window, jobs: list[Job]) -> dict[str, float]:
    """The figures of one policy on one copy."""
    result = run(policy, jobs)
    differences = service_differences(replies(result.served), window)
    waits = sorted(s.first_token - s.job.at for s in result.served if s.first_token is not None) or [0.0]
    too_large = sum(s.refused == TOO_LARGE for s in result.served)
    return {
        "avg": fmean(differences),
        "max": max(differences),
        "tokens_per_step": result.tokens_per_step,
        "tokens_per_s": (result.input_tokens + result.output_tokens) / (result.end or 1.0),
        "first_token_p50": waits[len(waits) // 2],
        "first_token_p95": waits[int(len(waits) * 0.95)],
        "rejected": result.rejected - too_large,
        "too_large": too_large,
    }


def on_copies(
    policies: Iterable[str], copies: list[list[Job]], window: Window, pool: Executor
) -> dict[str, dict[str, float]]:
    """Per policy the means over the copies."""
    table = {}
    for policy in policies:
        rows = list(pool.map(partial(row, policy, window), copies))
        table[policy] = {key: fmean(found[key] for found in rows) for key in rows[0]}
        line = "  ".join(f"{key} {value:.2f}" for key, value in table[policy].items())
        print(f"{policy:10} {line}  published avg/max {PUBLISHED.get(policy, '-')}", flush=True)
    return table


def trace_keys(jobs: list[Job], copies: int, policies: Iterable[str], pool: Executor) -> dict[str, object]:
    """The keys of the real trace, or of the one that was given."""
    last = max(job.at for job in jobs)
    window = Window() if 590 <= last <= 610 else Window.over(max(last, 1.0))
    table = on_copies(policies, [jittered(jobs, JITTER_S, seed) for seed in range(copies)], window, pool)
    keys: dict[str, object] = {
        f"{policy}_{what}": round(table[policy][what], 2)
        for policy in ("fcfs", "vtc", "oracle")
        for what in ("avg", "max")
    }
    keys |= {"avg_diff": round(table["ours"]["avg"], 2), "max_diff": round(table["ours"]["max"], 2)}
    keys["tokens_per_step_vs_fcfs"] = round(
        table["ours"]["tokens_per_step"] / (table["fcfs"]["tokens_per_step"] or 1.0), 4
    )
    keys |= {key: round(table["ours"][key] * copies) for key in ("rejected", "too_large")}
    return keys


def accumulated(suite: str, seconds: float | None, policy: str, seed: int) -> float:
    """Largest accumulated difference of one policy in one run of a suite."""
    generate, window = suites(seconds)[suite]
    return max(accumulated_differences(replies(run(policy, generate(seed)).served), window))


def suite_keys(seeds: int, seconds: float | None, pool: Executor) -> dict[str, object]:
    """Accumulated differences of the suites."""
    ratios = {}
    for suite in suites():
        runs = {policy: pool.map(partial(accumulated, suite, seconds, policy), range(seeds)) for policy in GATED}
        means = {policy: fmean(found) for policy, found in runs.items()}
        ratios[suite] = means["ours"] / means["vtc"]
        print(f"{suite:20}", "  ".join(f"{policy} {mean:.0f}" for policy, mean in means.items()), flush=True)
    return {
        "suite_acc_vs_vtc": {suite: round(ratio, 4) for suite, ratio in ratios.items()},
        "suites_worse_than_vtc": sum(ratio > 1 for ratio in ratios.values()),
    }


def real_trace_keys(
    args: argparse.Namespace, copies: int, policies: Iterable[str], pool: Executor
) -> dict[str, object]:
    """The keys of the trace and of the published runs; null where the data is not here."""
    result: dict[str, object] = {}
    trace = args.trace or VTC_DATA / "real_trace.csv"
    if args.trace or trace.exists():
        result |= trace_keys(read_trace(trace), copies, policies, pool)
    else:
        missing = [f"{policy}_{what}" for policy in ("fcfs", "vtc", "oracle") for what in ("avg", "max")]
        for key in (*missing, "avg_diff", "max_diff", "tokens_per_step_vs_fcfs", "rejected"):
            result |= {key: None, f"why_{key}": f"{trace} is not here"}
    if VTC_DATA.exists():
        return result | {"metric_check": metric_check()}
    return result | {"metric_check": None, "why_metric_check": f"{VTC_DATA} is not here"}


def e2e_keys(smoke: bool) -> dict[str, object]:
    """The keys of the whole product. Imported late: the module sets up Django, which the processes above do without."""
    from tests.bench import _e2e_wait

    return _e2e_wait.keys(smoke)


def main() -> None:
    """Print the tables, then the result as the last line."""
    args = arguments()
    copies, seeds, traces = (2, 1, 40) if args.smoke else (args.copies, args.seeds, args.traces)
    policies = GATED if args.smoke else tuple(POLICIES)
    result: dict[str, object] = {"smoke": args.smoke}
    with ProcessPoolExecutor(max(1, args.processes)) as pool:
        try:
            result |= real_trace_keys(args, copies, policies, pool)
        except TraceError as error:
            raise SystemExit(str(error)) from None
        result |= suite_keys(seeds, 60.0 if args.smoke else None, pool)
        result |= _bounds.keys(traces, pool)
    result |= _fair_engine.keys(args.smoke)
    result |= e2e_keys(args.smoke)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
