"""`make bench NAME=engine`: decode speed of our engine at 1, 8 and 32 streams, its start-up time and its memory.

Workload (constants below): each stream has its own seeded prompt of 64 tokens and decodes 64 tokens greedily, all
streams together; tok/s counts output tokens over the wall time of the whole run, prompts included, best of `--runs`
runs, the C kernels, torch alone (`torch_`) and bfloat16 (`bf16_`) alternating; cpu_ms_per_token_N is the least CPU time of all
threads over output tokens in those runs. Start-up is the wall time of a fresh process from exec to a core that has
stepped once; memory is the RSS of a process after 8 streams (file-backed weights included). `--smoke` runs a random
two-layer model for a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inference.engine.config import Dtype, EngineConfig, Kernels
from inference.engine.core import EngineCore
from inference.scheduler.registry import make_scheduler
from tests.inference.engine.tiny import drain, make_model, sequence

STREAMS = (1, 8, 32)
PROMPT_TOKENS = OUTPUT_TOKENS = 64
SEED = 20260
POOL_BYTES = 320 << 20  # 32 streams of 128 tokens, with room
VARIANTS: dict[str, tuple[Dtype, Kernels]] = {  # prefix of the keys -> what runs
    "": ("float32", "auto"),
    "torch_": ("float32", "torch"),
    "bf16_": ("bfloat16", "auto"),
}
PEERS = ("vllm", "llama")
WHY_PEER = "not installed: the peers come with a later version of this benchmark"
ROOT = Path(__file__).resolve().parents[2]


def arguments() -> argparse.Namespace:
    """Command line."""
    models = Path(os.environ.get("AGON_MODELS_DIR", ROOT / "var/models"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=models / "smollm2-135m-instruct")
    parser.add_argument("--threads", type=int, default=None, help="default: torch's")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--child", choices=("startup", "memory"), help=argparse.SUPPRESS)
    return parser.parse_args()


def core(model: Path, threads: int | None, dtype: Dtype = "float32", kernels: Kernels = "auto") -> EngineCore:
    """An engine whose queue refuses nothing."""
    config = EngineConfig(model, dtype=dtype, kernels=kernels, threads=threads, pool_bytes=POOL_BYTES)
    return EngineCore(config, make_scheduler(max_waiting_per_client=100))


def run(engine: EngineCore, streams: int, output: int = OUTPUT_TOKENS) -> tuple[float, float]:
    """Output tokens per second of `streams` requests served together, and CPU milliseconds per output token."""
    rng = random.Random(SEED)
    vocab = engine.model_config.vocab
    for i in range(streams):
        prompt = rng.choices(range(3, vocab), k=PROMPT_TOKENS)
        engine.add(sequence(f"s{i}", prompt, max_tokens=output), 0.0)
    begin, cpu = time.perf_counter(), time.process_time()
    said = sum(len(output.token_ids) for output in drain(engine))
    return said / (time.perf_counter() - begin), 1000 * (time.process_time() - cpu) / said


def speeds(model: Path, threads: int | None, runs: int) -> dict[str, float]:
    """tok_s_* and cpu_ms_per_token_* of every variant, best of alternating runs."""
    engines = {name: core(model, threads, *variant) for name, variant in VARIANTS.items()}
    for engine in engines.values():
        run(engine, 1, 4)  # touch the weights once
    best: dict[str, float] = {}
    for _ in range(runs):
        for streams in STREAMS:
            for name, engine in engines.items():
                speed, cpu = run(engine, streams)
                keys = f"{name}tok_s_{streams}", f"{name}cpu_ms_per_token_{streams}"
                best[keys[0]] = max(best.get(keys[0], 0.0), speed)
                best[keys[1]] = min(best.get(keys[1], cpu), cpu)
    return {key: round(value, 1 if "tok_s" in key else 2) for key, value in best.items()}


def rss_mb() -> float:
    """Resident memory of this process, in MB. Not PSS: another engine on the same weights would halve their share."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024 / 1e6


def child(kind: str, model: Path, threads: int | None) -> str:
    """What a fresh process of this program prints: its memory after 8 streams, or how long it took since its start."""
    args = [sys.executable, "-m", "tests.bench.engine", "--model", str(model), "--child", kind]
    args += ["--threads", str(threads)] if threads else []
    return subprocess.run(args, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300).stdout


def startup_s(model: Path, threads: int | None, runs: int) -> float:
    """Seconds from exec to the end of the first step, best of `runs`."""
    found = []
    for _ in range(runs):
        begin = time.time()
        found.append(float(child("startup", model, threads)) - begin)
    return round(min(found), 2)


def main() -> None:
    """Print progress, then the result as the last line."""
    args = arguments()
    if args.child == "startup":
        run(core(args.model, args.threads), 1, 1)
        print(time.time())
        return
    if args.child == "memory":
        engine = core(args.model, args.threads)  # a name, so that it is still there to be weighed
        run(engine, 8)
        print(rss_mb())
        return
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "tiny") if args.smoke else args.model
        runs = 1 if args.smoke else args.runs
        result: dict[str, object] = {"dtype": "float32", "smoke": args.smoke, "threads": args.threads or "default"}
        result |= speeds(model, args.threads, runs)
        result["startup_s"] = startup_s(model, args.threads, runs)
        result["rss_mb"] = round(float(child("memory", model, args.threads)), 1)
    for peer in PEERS:
        keys = [f"{peer}_tok_s_{n}" for n in STREAMS] + (["vllm_startup_s", "vllm_rss_mb"] if peer == "vllm" else [])
        for key in keys:
            result |= {key: None, f"why_{key}": WHY_PEER}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
