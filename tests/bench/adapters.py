"""`make bench NAME=adapters`: many LoRA adapters on one engine (S-LoRA, MLSys'24), and the other ways to serve them.

**ratio_2000_5, ratio_2000_5_32, saturated.** The real engine on SmolLM2 (float32, C kernels, default policy) serves the same
requests with 5 and with 2,000 registered adapters, 16 and 32 streams: prompts and replies uniform in [8, 512] tokens (S-LoRA's
lengths), adapter i asked in proportion to 1 / (i + 1), ranks 8 to 64, targets q, k, v and o (_adapters.py). Closed loop: all
streams busy, 8 requests waiting. Nothing is read before the first request: the host cache (at most 4 GB) is empty and the page
cache was told to drop the files. Ratio of output tokens per CPU second of the process, both in turn, the best of `--runs`;
`wall_ratio` is the same on the clock. `saturated`: least share of steps in which every stream computed or the step's tokens
were used up, while requests wait.

**vs_padded, vs_one_pass**: _lora_op.py. **slo_abort**: _slo.py.

**vs_vllm_lora, vs_peft**: 48 requests for 2,000 adapters, prompts in [8, 64], replies in [16, 96] tokens, 16 streams; ours in
this process, vLLM (bfloat16, two threads, 16 slots of rank 64, host cache for all) and PEFT (float32, mixed batches of 16) each
in its own, none behind HTTP. Ratio of output tokens per CPU second from the first request to the last token; ours and vLLM read
adapters meanwhile, PEFT before. Wall ratios beside them.

`--smoke`: a random two-layer model, no peers. `--device cuda` runs the first part on the GPU (wall time), or says that there is
none.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.engine import weights
from tests.bench import _adapters, _lora_op, _peers, _slo
from tests.bench._adapter_load import BACKLOG, Asked, Engine, Served, make_adapters, requests

COUNTS = (5, 2000)
STREAMS = (16, 32)
REQUESTS, LENGTHS = 64, (8, 512)
MIX, MIX_INPUTS, MIX_OUTPUTS, MIX_STREAMS = 48, (8, 64), (16, 96), 16
PARTS = ("ratio", "op", "slo", "peers")
PEERS = {"vllm": "vs_vllm_lora", "peft": "vs_peft"}


def arguments() -> argparse.Namespace:
    """Command line."""
    models = Path(os.environ.get("AGON_MODELS_DIR", _peers.ROOT / "var/models"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=models / "smollm2-135m-instruct")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts of the benchmark")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


class Folders:
    """Adapters on disk: one folder per number of registered ones and list of requests."""

    def __init__(self, root: Path, model: Path) -> None:
        self.root, self.config = root, weights.read_config(model)

    def make(self, name: str, count: int, asked: Sequence[Asked]) -> Path:
        """Write them, and let the page cache forget those that will be read."""
        folder = self.root / name
        if not folder.exists():
            folder.mkdir()
            written = make_adapters(folder, self.config, count, asked)
            print(
                f"{count} adapters, {len({one.adapter for one in asked})} asked for, {written / 1e6:.0f} MB", flush=True
            )
        _adapters.forget(folder, sorted({f"a{one.adapter}" for one in asked}))
        return folder


def ratios(args: argparse.Namespace, model: Path, folders: Folders) -> dict[str, object]:
    """ratio_2000_5, ratio_2000_5_32 and saturated."""
    few, many = (5, 20) if args.smoke else COUNTS
    lengths, count = ((4, 24), 40) if args.smoke else (LENGTHS, args.requests)
    result: dict[str, object] = {}
    full: list[float] = []
    for streams in STREAMS:
        best: dict[int, Served] = {}
        for _ in range(args.runs):
            for registered in (few, many):
                asked = requests(count, registered, folders.config.vocab, lengths, lengths)
                folder = folders.make(f"r{registered}", registered, asked)
                served = Engine(model, folder, registered, streams, args.device).serve(asked)
                full.append(served.full)
                print(f"{streams} streams, {registered} adapters: {served}", flush=True)
                if registered not in best or served.cpu_s < best[registered].cpu_s:
                    best[registered] = served
        suffix = "" if streams == STREAMS[0] else f"_{streams}"
        cpu = best[few].cpu_s / best[many].cpu_s
        wall = best[few].wall_s / best[many].wall_s
        result[f"ratio_2000_5{suffix}"] = round(wall if args.device == "cuda" else cpu, 3)
        result[f"wall_ratio{suffix}"] = round(wall, 3)
        result[f"adapters_loaded{suffix}"] = best[many].loads
        result[f"cpu_ms_per_token{suffix}"] = {str(n): round(1000 / best[n].per_cpu_s, 2) for n in (few, many)}
    return result | {"saturated": round(min(full), 3)}


def job(model: Path, folder: Path, asked: Sequence[Asked]) -> dict[str, Any]:
    """The request mix as _vllm_run.py and _peft_run.py read it."""
    ranks = max(_adapters.RANKS)
    distinct = len({one.adapter for one in asked})
    calls = [
        {"id": one.id, "parts": [one.prompt], "output": one.output, "lora": str(folder / f"a{one.adapter}")}
        for one in asked
    ]
    lora = {"rank": ranks, "slots": MIX_STREAMS, "cached": max(distinct, MIX_STREAMS)}
    return {"model": str(model.resolve()), "streams": MIX_STREAMS, "max_len": 512, "lora": lora, "calls": calls}


def against_peers(args: argparse.Namespace, model: Path, folders: Folders) -> dict[str, object]:
    """vs_vllm_lora and vs_peft, null where the peer is absent."""
    asked = requests(MIX, COUNTS[1], folders.config.vocab, MIX_INPUTS, MIX_OUTPUTS)
    result: dict[str, object] = {}
    why = {peer: "peers are not part of a smoke run" if args.smoke else _peers.absent(peer) for peer in PEERS}
    for peer in PEERS:
        if why[peer]:
            result |= {PEERS[peer]: None, f"why_{PEERS[peer]}": why[peer]}
    if all(why.values()):
        return result
    folder = folders.make("mix", COUNTS[1], asked)
    ours = Engine(model, folder, COUNTS[1], MIX_STREAMS).serve(asked)
    print(f"ours: {ours}", flush=True)
    result["mix_ours"] = {"tok_per_cpu_s": round(ours.per_cpu_s, 1), "tok_s": round(ours.tokens / ours.wall_s, 1)}
    for peer in (peer for peer in PEERS if not why[peer]):
        found = _peers.run_job(peer, job(model, folder, asked))
        print(f"{peer}: {found}", flush=True)
        assert found["tokens"] == ours.tokens
        result[PEERS[peer]] = round(found["cpu_s"] / ours.cpu_s, 2)
        result[f"{PEERS[peer]}_wall"] = round(found["wall_s"] / ours.wall_s, 2)
    return result


def run(args: argparse.Namespace) -> dict[str, object]:
    """All keys of the chosen parts."""
    parts = set(args.only or PARTS) if args.device == "cpu" else {"ratio"}
    result: dict[str, object] = {"streams": list(STREAMS), "backlog": BACKLOG}
    with tempfile.TemporaryDirectory(dir=_peers.ROOT / "var") as scratch:
        model = args.model
        if args.smoke:
            from tests.inference.engine.tiny import make_model

            model = make_model(Path(scratch) / "tiny")
        folders = Folders(Path(scratch), model)
        if "slo" in parts:
            result |= _slo.table()
        if "op" in parts:
            result |= _lora_op.table(*((2, 1) if args.smoke else ()))
        if "ratio" in parts:
            result |= ratios(args, model, folders)
        if "peers" in parts:
            result |= against_peers(args, model, folders)
    return result


def main() -> None:
    """Print progress, then the result as the last line."""
    args = arguments()
    head: dict[str, object] = {"smoke": args.smoke, "device": args.device}
    if args.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print(json.dumps(head | {"skipped": f"torch {torch.__version__} sees no CUDA device"}))
            return
    print(json.dumps(head | run(args)))


if __name__ == "__main__":
    main()
