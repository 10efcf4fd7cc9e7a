"""`make bench NAME=radix`: hit rates of the prefix cache against the offline optimum, and what the cache costs.

**Hit rates**, without a model: each workload of _prefix_workloads.py (generators, seed 7, lengths there) goes through the
engine's own Batch, PrefixCache and RadixTree (_replay.py), with pages of 16 tokens, a pool of 20,480 tokens, 32 sequences
and 128 tokens per step, all first calls waiting at once in shuffled order (seed 11) and admitted by longest cached prefix;
a call that continues another is asked when that has ended. hit = 1 - prompt tokens computed / prompt tokens; what is
computed again after a preemption counts as computed. The optimum is one call after the other, depth first, with pages of
ONE token and nothing ever evicted, so it also has what whole pages of 16 cannot reach. `hit_vs_optimal_min` is the least
ratio over the workloads; `chat_hit` is the lower hit rate of chat_long (whose optimum is .75 by its lengths) and
chat_arena; chat_short, whose replies of 4-8 tokens put its optimum at .60, is reported beside them. The conversations go
six at a time, which is what the pool holds at their full length; `ratio_small_pool` shows what a pool of 8,192 does.

**zero_reuse_overhead**: the real engine at its default settings (256 MiB pool, pages of 16, 128 tokens per step) serves
requests of 64 random tokens in and 64 out, which share nothing; more than the pool holds, so that the tree also evicts.
CPU seconds of this thread inside every public call of PrefixCache (timer calls included) over the CPU seconds of the
process (all threads) in EngineCore.step and add outside of them; the larger of 1 stream and 32 streams.

**e2e_vs_off**: the real engine in this process at its default settings, calls admitted by longest cached prefix, greedy,
replies of the given lengths; each workload with reuse and without in turn. CPU seconds of the process off / on, the least
of `--runs` each. A part of each workload: 2 preambles of five_shot, 2 questions of tree, 3 articles of judge, and 6
conversations of chat_arena (chat). A prompt that holds a reply holds what the model said.

**e2e_vs_vllm**: the same calls by vLLM on the CPU (bfloat16, eager, two threads, its own prefix cache; 32 running, all first
calls waiting at once in the same order) inside its own process, CPU seconds of vLLM / ours with reuse; replies have the same
lengths.

`--smoke` replays 5 % of the programs and serves one of each with a random two-layer model, whose steps cost next to nothing.
`--device cuda` runs the calls end to end on the GPU, ratios on the clock, or says that there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from tests.bench._prefix_workloads import WORKLOADS, workload
from tests.bench._replay import POOL_TOKENS, optimum, replay

ROOT = Path(__file__).resolve().parents[2]
SMALL_POOL = 8192
PARTS = ("hits", "cost", "e2e")


def arguments() -> argparse.Namespace:
    """Command line."""
    models = Path(os.environ.get("AGON_MODELS_DIR", ROOT / "var/models"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=models / "smollm2-135m-instruct")
    parser.add_argument("--threads", type=int, default=None, help="default: torch's")
    parser.add_argument("--runs", type=int, default=1, help="of each workload end to end, with and without reuse")
    parser.add_argument("--only", choices=PARTS, help="one part of the benchmark")
    parser.add_argument("--workload", action="append", help="end to end only with this one (repeat for more)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


def hit_rates(share: float) -> dict[str, object]:
    """Ours and the optimum per workload, in the large pool and in a small one."""
    found: dict[str, dict[str, float]] = {}
    for name in WORKLOADS:
        calls = workload(name, share)
        begin = time.process_time()
        ours, best = replay(calls), optimum(calls)
        found[name] = {
            "hit": round(ours.hit_rate, 4),
            "optimal": round(best, 4),
            "ratio": round(ours.hit_rate / best, 4),
            "ratio_small_pool": round(replay(calls, SMALL_POOL).hit_rate / best, 4),
            "calls": len(calls),
            "prompt_tokens": ours.prompt,
            "recomputed_reply_tokens": ours.again,
            "deferrals": ours.batch.prefix.deferrals,
            "tree_kb": round(ours.batch.prefix.tree.nbytes / 1e3, 1),
            "cpu_s": round(time.process_time() - begin, 2),
        }
        print(name, found[name], flush=True)
    return {
        "pool_tokens": POOL_TOKENS,
        "small_pool_tokens": SMALL_POOL,
        "workloads": found,
        "hit_vs_optimal_min": min(row["ratio"] for row in found.values()),
        "chat_hit": min(found["chat_long"]["hit"], found["chat_arena"]["hit"]),
        "chat_short_hit": found["chat_short"]["hit"],
    }


def on_the_engine(args: argparse.Namespace, model: Path, parts: set[str]) -> dict[str, object]:
    """zero_reuse_overhead and e2e_vs_off, with what they are made of."""
    from tests.bench._prefix_engine import STREAMS, against_off, against_vllm, overhead

    threads = 1 if args.smoke else args.threads
    result: dict[str, object] = {"threads": threads or "default"}
    if "cost" in parts:
        found = {str(n): overhead(model, threads, n, requests) for n, requests in STREAMS.items()}
        print("cost", found, flush=True)
        result["zero_reuse_overhead"] = max(row["overhead"] for row in found.values())
        result["overhead_by_streams"] = found
    if "e2e" in parts:
        rows = against_off(model, threads, args.runs, args.smoke, args.workload, args.device)
        result |= {"e2e_vs_off": {key: row["ratio"] for key, row in rows.items()}, "e2e": rows}
        if args.device == "cpu":
            result |= against_vllm(model, rows, args.smoke)
    return result


def main() -> None:
    """Print progress, then the result as the last line."""
    args = arguments()
    parts = set(PARTS) if args.only is None else {args.only}
    result: dict[str, object] = {"smoke": args.smoke, "device": args.device}
    if args.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print(json.dumps(result | {"skipped": f"torch {torch.__version__} sees no CUDA device"}))
            return
        parts = {"e2e"}
    if "hits" in parts:
        result |= hit_rates(0.05 if args.smoke else 1.0)
    if parts & {"cost", "e2e"}:
        from tests.inference.engine.tiny import make_model

        with tempfile.TemporaryDirectory() as folder:
            long = {"max_position_embeddings": 8192}
            model = make_model(Path(folder) / "tiny", **long) if args.smoke else args.model
            result |= on_the_engine(args, model, parts)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
