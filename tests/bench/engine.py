"""`make bench NAME=engine`: our engine, vLLM on the CPU and llama.cpp's server, the same streams over HTTP to each.

Workload: N streams (1, 8, 32) start together, each with its own text of 40 tokens (random words of one token each; seed 20260)
inside the chat template and exactly 211 tokens of greedy reply: the medians of the arena trace that VTC published. `ignore_eos`,
server-sent events with usage; no prompt comes twice. `tok_s_N` is N x 211 over the wall time from the first request to the
last byte, prompts included, best of `--runs` rounds in which the servers take turns; the others are held by SIGSTOP meanwhile.
One client (_chat_load.py) for all, in this process. Each server is at its defaults but for what _peers.py says: ours in float32
(C kernels) and in bfloat16 (`bf16_`, torch), vLLM in bfloat16, eager, its worker inside the engine's process, Intel's OpenMP;
llama.cpp on the Q4_1 GGUF with two threads and a slot for each stream. Ours and vLLM have 1 GiB for keys and values. All reuse
cached prefixes, of which these prompts share the template's first tokens.

`startup_s` is the wall time from exec to the first 200 of GET /health, best of `--starts` processes (vLLM: one); `rss_mb` the
proportional set size of the process and its children after a burst of 8 streams, MB, before another server maps the same
weights. `cpu_ms_per_token_N`: CPU time of the server's processes over output tokens, the least of the rounds.

`--smoke` serves a random two-layer model instead, 8 tokens to each stream, without peers. `--device cuda` serves ours on the
GPU, without peers, or says that there is none.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from inference.engine.text import ChatText
from tests.bench import _peers
from tests.bench._chat_load import Prompts, burst
from tests.bench._server import Server, free_port

STREAMS = (1, 8, 32)
TEXT_TOKENS, OUTPUT_TOKENS = 40, 211
MEMORY_STREAMS = 8
SEED = 20260
Command = tuple[list[str], dict[str, str]]


def arguments() -> argparse.Namespace:
    """Command line."""
    models = Path(os.environ.get("AGON_MODELS_DIR", _peers.ROOT / "var/models"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=models / "smollm2-135m-instruct")
    parser.add_argument("--threads", type=int, default=None, help="of our engine; default: torch's")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--no-peers", action="store_true", help="only our engine")
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


class Bench:
    """Servers by the prefix of their keys, the figures found so far, and prompts that never come twice."""

    def __init__(self, args: argparse.Namespace, stack: ExitStack, model: Path, smoke: bool) -> None:
        self.args, self.model, self._stack = args, model.resolve(), stack
        self.streams = STREAMS
        self.output = 8 if smoke else OUTPUT_TOKENS
        self.servers: dict[str, Server] = {}
        self.result: dict[str, object] = {}
        self._prompts = Prompts(ChatText(self.model), TEXT_TOKENS, SEED)
        self._cwd = Path(stack.enter_context(tempfile.TemporaryDirectory()))

    def commands(self) -> dict[str, Callable[[int], Command]]:
        """Prefix of the keys -> how to start its server on a port. The heaviest first: it is weighed alone."""
        extra = ["--device", self.args.device]
        extra += ["--threads", str(self.args.threads)] if self.args.threads else []

        def ours(dtype: str) -> Callable[[int], Command]:
            def command(port: int) -> Command:
                words, env = _peers.our_server(self.model, port, dtype, max(self.streams))
                return words + extra, env

            return command

        found: dict[str, Callable[[int], Command]] = {"": ours("float32"), "bf16_": ours("bfloat16")}
        peers: dict[str, Callable[[int], Command]] = {
            "vllm_": lambda port: _peers.vllm_server(self.model, port, max(self.streams)),
            "llama_": lambda port: _peers.llama_server(port, max(self.streams)),
        }
        for prefix, command in peers.items():
            why = "not measured in this run" if self._alone else _peers.absent(prefix[:-1])
            if why:
                self._null(prefix, why)
            else:
                found = {prefix: command} | found
        return found

    @property
    def _alone(self) -> bool:
        return bool(self.args.smoke or self.args.no_peers or self.args.device != "cpu")

    def _null(self, prefix: str, why: str) -> None:
        keys = [f"tok_s_{n}" for n in self.streams] + (["startup_s", "rss_mb"] if prefix == "vllm_" else [])
        for key in keys:
            self.result |= {prefix + key: None, f"why_{prefix}{key}": why}

    def start(self, prefix: str, command: Callable[[int], Command]) -> None:
        """Start one server, weigh it, and hold it still."""
        starts = 1 if prefix == "vllm_" or self.args.smoke else self.args.starts
        took = []
        for i in range(starts):
            port = free_port()
            server = Server(*command(port), port, _peers.ROOT if prefix in ("", "bf16_") else self._cwd)
            took.append(server.startup_s)
            if i < starts - 1:
                server.close()
        self._stack.callback(server.close)
        self.burst(server, min(MEMORY_STREAMS, max(self.streams)))
        self.result[prefix + "startup_s"] = round(min(took), 2)
        self.result[prefix + "rss_mb"] = round(server.pss_mb(), 1)
        server.hold()
        self.servers[prefix] = server
        print(prefix or "ours", {key: self.result[prefix + key] for key in ("startup_s", "rss_mb")}, flush=True)

    def burst(self, server: Server, streams: int) -> tuple[float, float]:
        """(output tokens per second, CPU ms of the server per output token) of one burst."""
        prompts = [self._prompts.next() for _ in range(streams)]
        cpu = server.cpu_s()
        load = burst(server.port, prompts, self.output)
        self.result.setdefault("prompt_tokens", sorted(load.prompt_tokens))
        if self.result["prompt_tokens"] != sorted(load.prompt_tokens):
            raise RuntimeError(
                f"prompts are {load.prompt_tokens} tokens here, {self.result['prompt_tokens']} elsewhere"
            )
        return load.tok_s, 1000 * (server.cpu_s() - cpu) / (streams * self.output)

    def round(self) -> None:
        """Every number of streams to every server in turn."""
        for streams in self.streams:
            for prefix, server in self.servers.items():
                with going(server):
                    speed, cpu = self.burst(server, streams)
                self._best(f"{prefix}tok_s_{streams}", speed, max, 1)
                self._best(f"{prefix}cpu_ms_per_token_{streams}", cpu, min, 2)
                print(f"{prefix or 'ours'} {streams}: {speed:.1f} tok/s, {cpu:.2f} CPU-ms per token", flush=True)

    def _best(self, key: str, value: float, better: Callable[[float, float], float], digits: int) -> None:
        old = self.result.get(key)
        self.result[key] = round(value if not isinstance(old, float) else better(old, value), digits)


@contextlib.contextmanager
def going(server: Server) -> Iterator[None]:
    """Let a held server run for a while."""
    server.go_on()
    try:
        yield
    finally:
        server.hold()


def run(args: argparse.Namespace) -> dict[str, object]:
    """All keys."""
    with ExitStack() as stack:
        model = args.model
        if args.smoke:
            from tests.inference.engine.tiny import make_model
            from tests.inference.engine.tiny_text import make_text

            model = make_text(make_model(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "m"))
        bench = Bench(args, stack, model, args.smoke)
        for prefix, command in bench.commands().items():
            bench.start(prefix, command)
        for _ in range(1 if args.smoke else args.runs):
            bench.round()
        return bench.result


def main() -> None:
    """Print progress, then the result as the last line."""
    args = arguments()
    head: dict[str, object] = {"dtype": "float32", "smoke": args.smoke, "threads": args.threads or "default"}
    if args.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            why = f"skipped: torch {torch.__version__} sees no CUDA device"
            print(json.dumps(head | {"device": "cuda", "skipped": why}))
            return
    print(json.dumps(head | {"device": args.device} | run(args)))


if __name__ == "__main__":
    main()
