"""A stand-alone engine process for load and fault tests: the OpenAI chat contract, with faults on demand.

Start it from a shell (prints one line `stub engine ready on <url>` when it listens; `--port 0` picks a free port):

    python tests/stub_engine.py [--port 0 | --uds PATH] [--key KEY] [--tick-ms 50]

or from a test:

    with StubEngine(key="k") as stub:          # a child process, gone when the block ends
        stub.url, stub.key                      # http://127.0.0.1:PORT
        stub.requests()                         # what arrived: [{"model", "body", "headers", "outcome"}, ...] (last 200)
        stub.stats()                            # {"requests", "active", "peak", "finished", "disconnected"}
        stub.reset()                            # forget both
        stub.go()                               # let those go on that `hold`

The key is `--key`, else `AGON_ENGINE_KEY`, else none is asked for. `/health` and `/v1/models` behave like the engine's.

What a request gets is decided by its model name, then by a JSON control object in its last user message, which wins:
  model   `stub` (40 words at 20/s), or a profile in stub/behaviour.py (`stub-fast`, `stub-truncate`, `stub-429` ...),
          or any name followed by settings: `my-model?n=5&rate=100&fault=truncate&after=2`
  prompt  any text holding `{"stub": {"n": 5, "rate": 100, "fault": "500"}}`

| setting     | default | meaning                                                                              |
|-------------|---------|--------------------------------------------------------------------------------------|
| n, rate     | 40, 20  | words `w1 w2 ...` and words per second (0 = all at once)                             |
| text        |         | the answer instead of numbered words (split at spaces)                               |
| first_delay | 0       | seconds before the first word                                                        |
| queued      | 0       | while waiting for the first word, `: queued position=<n> eta_s=<s>` comments         |
| fault       | none    | see below                                                                            |
| after       | 0       | words sent before the fault begins, or before the hold                               |
| times       | 0       | the fault strikes only the first `times` requests with this model and prompt (0: all)|
| retry_after | 1       | seconds in the Retry-After header of 429 and 503                                     |
| prose       | 0       | 1: Markdown by the request's seed; the first word is `t<monotonic clock>s<seed>`      |
| spread      | 0       | this share faster or slower, by the request's seed                                   |
| hold        | 0       | 1: no word beyond `after` before `POST /stub/go`                                     |
| jitter      | 0       | after `go`: a start within these seconds, by the request's seed                      |

Faults: `truncate` (connection closed without an end), `drop` (closed before any response), `hang` (silence until the client
leaves), `hang_headers` (not even headers), `garbage` (broken SSE, no end), `error` (an error object inside the stream),
`empty` (a stream without text), `429`, `503`, `500` (a provider's body with a secret account id in it), `html` (a proxy's
error page), `strict` (400 for every field that is not OpenAI's; the reply is normal otherwise).

One timer writes to all streams, so 1,200 open streams at 20 words/s cost about half of one core and 75 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":  # run as a script: `tests` is imported from the project, not from its own folder
    sys.path[0] = str(ROOT)

from tests.stub.behaviour import OPENAI_FIELDS, PROFILES, SECRET_ACCOUNT  # noqa: E402

__all__ = ["OPENAI_FIELDS", "PROFILES", "SECRET_ACCOUNT", "StubEngine"]


async def _serve(args: argparse.Namespace) -> None:
    from aiohttp import web

    from tests.stub.server import make_app

    runner = web.AppRunner(make_app(args.key, args.tick_ms / 1000), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    if args.uds:
        if os.path.exists(args.uds):
            os.unlink(args.uds)
        await web.UnixSite(runner, args.uds, backlog=4096).start()
        url = f"unix:{args.uds}"
    else:
        await web.TCPSite(runner, "127.0.0.1", args.port, backlog=4096).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    print(f"stub engine ready on {url}", flush=True)
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await stop.wait()
    await runner.cleanup()


class StubEngine:
    """The stub as a child process of a test; use as a context manager. `url` has no trailing slash and no `/v1`."""

    def __init__(self, key: str | None = None, port: int = 0, tick_ms: int = 50) -> None:
        self.key = key
        self._args = [sys.executable, os.path.abspath(__file__), "--port", str(port), "--tick-ms", str(tick_ms)]

    def __enter__(self) -> Self:
        env = {k: v for k, v in os.environ.items() if k != "AGON_ENGINE_KEY"}
        if self.key:
            env["AGON_ENGINE_KEY"] = self.key
        self.process = subprocess.Popen(self._args, stdout=subprocess.PIPE, text=True, env=env)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "ready on " not in line:
            raise RuntimeError(f"the stub engine did not start: {line!r}")
        self.url = line.rsplit(" ", 1)[1].strip()
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def go(self) -> None:
        self._call("/stub/go", "POST")

    def _call(self, path: str, method: str = "GET") -> Any:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=5) as reply:
            return json.load(reply)

    def requests(self) -> list[dict[str, Any]]:
        return self._call("/stub/requests")

    def stats(self) -> dict[str, int]:
        return self._call("/stub/stats")

    def reset(self) -> None:
        self._call("/stub/reset", "POST")


def main() -> None:
    """Parse the command line and serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="OpenAI-compatible stub engine for load and fault tests")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uds")
    parser.add_argument("--key", default=os.environ.get("AGON_ENGINE_KEY"))
    parser.add_argument("--tick-ms", type=int, default=50)
    args = parser.parse_args()
    try:
        import uvloop

        uvloop.run(_serve(args))
    except ImportError:
        asyncio.run(_serve(args))


if __name__ == "__main__":
    main()
