"""`python -m inference.engine --model DIR`: one engine process. docs/engine.md lists the options and the contract."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from inference import logs
from inference.engine import keys, policy, sockets
from inference.engine.adapter_api import Served
from inference.engine.chat import ChatLimits
from inference.engine.config import MIB, ConfigError, EngineConfig, Kernels
from inference.engine.serve import serve
from inference.engine.server import EngineApp
from inference.engine.text import ChatText

if TYPE_CHECKING:
    from inference.engine.adapter_folder import AdapterFolder
    from inference.engine.core import EngineCore

log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m inference.engine", description="Serve one model and its adapters.")
    _model_flags(p.add_argument_group("model"))
    _bounds_flags(p.add_argument_group("bounds"))
    policy.add_flags(p)
    _network_flags(p.add_argument_group("network"))
    return p


def _model_flags(model: argparse._ArgumentGroup) -> None:
    model.add_argument("--model", type=Path, required=True, metavar="DIR", help="model directory (Hugging Face layout)")
    model.add_argument("--name", help="name of the base model in requests (default: the directory's name)")
    model.add_argument(
        "--adapter", action="append", default=[], metavar="NAME=DIR", help="a LoRA adapter (PEFT layout)"
    )
    model.add_argument(
        "--adapters-dir",
        type=Path,
        metavar="DIR",
        help="each subfolder is an adapter of that name; others can be loaded from it",
    )
    model.add_argument(
        "--adapters-scan",
        type=float,
        default=10.0,
        metavar="S",
        help="look at --adapters-dir again after so long, 0 = never (default %(default)s)",
    )
    model.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    model.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    model.add_argument(
        "--kernels",
        choices=get_args(Kernels),
        default="auto",
        help="auto: C where it can run, else torch; triton: CUDA",
    )
    model.add_argument("--threads", type=int, help="compute threads (default: torch's)")


def _bounds_flags(bounds: argparse._ArgumentGroup) -> None:
    bounds.add_argument(
        "--pool-mb", type=int, default=256, help="memory for keys, values and adapters (default %(default)s)"
    )
    bounds.add_argument("--max-running", type=int, default=32, help="sequences in the batch (default %(default)s)")
    bounds.add_argument("--max-batch-tokens", type=int, help="tokens of one step (default 128 on cpu, 2048 on cuda)")
    bounds.add_argument("--max-context", type=int, help="prompt + reply in tokens (default: the model's)")
    bounds.add_argument(
        "--max-adapters", dest="registered", type=int, default=4096, help="registered at once (default %(default)s)"
    )
    bounds.add_argument("--max-adapter-rank", type=int, default=64, help="largest rank taken (default %(default)s)")
    bounds.add_argument(
        "--adapter-cache-mb", type=int, default=256, help="adapters kept in host memory (default %(default)s)"
    )
    bounds.add_argument(
        "--adapter-rows",
        choices=["auto", "compute", "file"],
        default="auto",
        help="dtype of adapters in the pool: the engine's, or each file's own (default: that with C kernels)",
    )
    bounds.add_argument(
        "--adapter-prefetch",
        type=int,
        default=8,
        help="waiting requests whose adapters come in early (default %(default)s)",
    )
    bounds.add_argument("--default-max-tokens", type=int, default=512, help="when a request names none")
    bounds.add_argument("--max-body-kb", type=int, default=1024, help="request body (default %(default)s)")
    bounds.add_argument(
        "--radix", choices=["on", "off"], default="on", help="reuse cached prefixes (default %(default)s)"
    )


def _network_flags(net: argparse._ArgumentGroup) -> None:
    net.add_argument("--uds", type=Path, metavar="PATH", help="listen on a unix socket instead of TCP")
    net.add_argument(
        "--host", default="127.0.0.1", help="other than loopback needs AGON_ENGINE_KEY or AGON_ENGINE_KEY_FILE"
    )
    net.add_argument("--port", type=int, default=8400, help="0 = any free one (default %(default)s)")
    net.add_argument(
        "--key-file", type=Path, default=keys.DEFAULT_FILE, help="made at first start (default %(default)s)"
    )
    net.add_argument(
        "--drain-timeout", type=float, default=30.0, metavar="S", help="after SIGTERM (default %(default)s)"
    )


def adapters_of(args: argparse.Namespace) -> dict[str, Path]:
    """Adapter name -> directory, from --adapter. Raises ConfigError, also for an --adapters-dir that is none."""
    if args.adapters_dir is not None and not args.adapters_dir.is_dir():
        raise ConfigError(f"--adapters-dir {args.adapters_dir} is no directory")
    found: dict[str, Path] = {}
    for entry in args.adapter:
        name, separator, path = entry.partition("=")
        if not separator or not name or not path:
            raise ConfigError(f"--adapter {entry!r} must be NAME=DIR")
        found[name] = Path(path)
    return found


def listen(args: argparse.Namespace) -> tuple[socket.socket, str]:
    """The listening socket and its URL. Raises ConfigError."""
    if args.uds is not None:
        return sockets.listen_unix(args.uds), f"unix:{args.uds}"
    if not sockets.is_loopback(args.host) and not keys.given_key():
        raise ConfigError(
            f"--host {args.host} opens the engine to others: set {keys.ENV} or {keys.FILE_ENV}, or use 127.0.0.1"
        )
    sock = sockets.listen_tcp(args.host, args.port)
    host = f"[{args.host}]" if ":" in args.host else args.host
    return sock, f"http://{host}:{sock.getsockname()[1]}"


def load(args: argparse.Namespace, key: str, adapters: dict[str, Path]) -> EngineApp:
    """The model, its adapters and the application around them. Raises ConfigError, ModelError or AdapterError."""
    scheduler = policy.scheduler_of(args)
    # torch takes seconds to import; a wrong option should not wait for it.
    from inference.engine.core import EngineCore

    config = EngineConfig(
        model_path=args.model,
        device=args.device,
        dtype=args.dtype,
        threads=args.threads,
        kernels=args.kernels,
        pool_bytes=args.pool_mb * MIB,
        max_batch_tokens=args.max_batch_tokens,
        max_running=args.max_running,
        max_context=args.max_context,
        max_adapters=args.registered,
        radix=args.radix == "on",
        max_adapter_rank=args.max_adapter_rank,
        adapter_cache_bytes=args.adapter_cache_mb * MIB,
        adapter_rows=args.adapter_rows,
        prefetch_requests=args.adapter_prefetch,
    )
    text = ChatText(args.model)
    core = EngineCore(config, scheduler)
    for name, path in adapters.items():
        core.load_adapter(name, path)
    folder = scanned(args, core, frozenset({base_name(args), *adapters}))
    served = Served(base_name(args), tuple(core.adapters()))
    limits = ChatLimits(core.context, args.max_body_kb * 1024, args.default_max_tokens, config.max_logprobs)
    return EngineApp(core, scheduler, text, served, key, limits, core.adapter_store, folder, args.adapters_scan)


def scanned(args: argparse.Namespace, core: EngineCore, reserved: frozenset[str]) -> AdapterFolder | None:
    """Register what --adapters-dir holds. Adapters that do not fit are logged: they must not keep the others from starting."""
    from inference.engine.adapter_folder import AdapterFolder

    if args.adapters_dir is None:
        return None
    folder = AdapterFolder(args.adapters_dir, core.adapter_store.inspect, reserved)
    for name, spec in folder.scan().found.items():
        try:
            core.adapter_store.register(name, spec)
        except ValueError as error:  # AdapterError: too many
            log.warning("adapter %s is not served: %s", name, error)
    return folder


def base_name(args: argparse.Namespace) -> str:
    """The base model's name in requests."""
    return str(args.name or args.model.resolve().name)


def run(args: argparse.Namespace) -> bool:
    """Load, serve, drain; False when the engine broke. Raises ValueError before anything is served."""
    began = time.monotonic()
    key, adapters, base = keys.engine_key(args.key_file), adapters_of(args), base_name(args)
    if base in adapters:
        raise ConfigError(f"an adapter has the base model's name {base!r}; rename one of them")
    sock, url = listen(args)
    try:
        app = load(args, key, adapters)
        took = time.monotonic() - began
        kind = f"{base} and {len(app.served.adapters)} adapters, {args.device} {args.dtype}"
        return serve(app, sock, f"engine ready on {url}: {kind}, in {took:.1f} s", args.drain_timeout)
    finally:
        sock.close()
        if args.uds is not None:
            args.uds.unlink(missing_ok=True)


def _set_up_logging() -> None:
    """Like the other processes: AGON_LOG_FORMAT (line or json) on stderr, without anybody's text."""
    handler = logging.StreamHandler()
    handler.addFilter(logs.Quiet())
    handler.setFormatter(logs.FORMATS[os.environ.get("AGON_LOG_FORMAT") or "line"](lambda: {"process": "engine"}))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 drained, 1 broke while serving, 2 cannot start as asked (one line on stderr says why)."""
    _set_up_logging()
    try:
        return 0 if run(parser().parse_args(argv)) else 1
    except ValueError as error:  # ConfigError, ModelError and AdapterError are ValueErrors
        print(f"engine: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
