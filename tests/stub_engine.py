"""A stand-alone engine process for load and fault tests: the OpenAI chat contract, with faults on demand.

Start it from a shell (prints one line `stub engine ready on <url>` when it listens; `--port 0` picks a free port):

    python tests/stub_engine.py [--port 0 | --uds PATH] [--key KEY] [--tick-ms 50]

or from a test:

    with StubEngine(key="k") as stub:          # a child process, gone when the block ends
        stub.url, stub.key                      # http://127.0.0.1:PORT
        stub.requests()                         # what arrived: [{"model", "body", "headers", "outcome"}, ...] (last 200)
        stub.stats()                            # {"requests", "active", "peak", "finished", "disconnected"}
        stub.reset()                            # forget both

The key is `--key`, else `AGON_ENGINE_KEY`, else none is asked for. `/health` and `/v1/models` behave like the engine's.

What a request gets is decided by its model name, then by a JSON control object in its last user message, which wins:
  model   `stub` (40 words at 20/s), or a profile of PROFILES (`stub-fast`, `stub-truncate`, `stub-429`, `stub-hang` ...),
          or any name followed by settings: `my-model?n=5&rate=100&fault=truncate&after=2`
  prompt  any text holding `{"stub": {"n": 5, "rate": 100, "fault": "500"}}`

| setting     | default | meaning                                                                              |
|-------------|---------|--------------------------------------------------------------------------------------|
| n, rate     | 40, 20  | words `w1 w2 ...` and words per second (0 = all at once)                             |
| text        |         | the answer instead of numbered words (split at spaces)                               |
| first_delay | 0       | seconds before the first word                                                        |
| queued      | 0       | while waiting for the first word, `: queued position=<n> eta_s=<s>` comments         |
| fault       | none    | see below                                                                            |
| after       | 0       | words sent before the fault begins                                                   |
| times       | 0       | the fault strikes only the first `times` requests with this model and prompt (0: all)|
| retry_after | 1       | seconds in the Retry-After header of 429 and 503                                     |

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
import time
import urllib.request
from collections import Counter, deque
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self
from urllib.parse import parse_qsl

SECRET_ACCOUNT = "acct_5f3aSECRET77"
MAX_BODY = 4 * 1024 * 1024
MAX_BUFFERED = 1024 * 1024  # a reader this far behind is cut off
OPENAI_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "n",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "seed",
        "user",
        "response_format",
        "tools",
        "tool_choice",
        "metadata",
    }
)


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered; see the table above."""

    n: int = 40
    rate: float = 20.0
    text: str = ""
    first_delay: float = 0.0
    queued: int = 0
    fault: str = "none"
    after: int = 0
    times: int = 0
    retry_after: int = 1

    def words(self) -> list[str]:
        return self.text.split() if self.text else [f"w{i + 1}" for i in range(self.n)]


PROFILES: dict[str, Behaviour] = {
    "stub": Behaviour(),
    "stub-fast": Behaviour(n=20, rate=0),
    "stub-long": Behaviour(n=400, rate=40),
    "stub-slow": Behaviour(first_delay=3.0, rate=5, n=20),
    "stub-queued": Behaviour(first_delay=3.0, queued=3),
    "stub-truncate": Behaviour(fault="truncate", after=5),
    "stub-drop": Behaviour(fault="drop"),
    "stub-hang": Behaviour(fault="hang"),
    "stub-hang-headers": Behaviour(fault="hang_headers"),
    "stub-garbage": Behaviour(fault="garbage", after=2),
    "stub-error": Behaviour(fault="error", after=3),
    "stub-empty": Behaviour(fault="empty"),
    "stub-429": Behaviour(fault="429", retry_after=2),
    "stub-503": Behaviour(fault="503", retry_after=2),
    "stub-500": Behaviour(fault="500"),
    "stub-html": Behaviour(fault="html"),
    "stub-strict": Behaviour(fault="strict", n=10, rate=0),
}
_CASTS: dict[str, type] = {f.name: type(f.default) for f in fields(Behaviour)}


def _settings(base: Behaviour, raw: dict[str, Any]) -> Behaviour:
    unknown = set(raw) - set(_CASTS)
    if unknown:
        raise ValueError(f"unknown stub settings: {sorted(unknown)}")
    return replace(base, **{k: _CASTS[k](v) for k, v in raw.items()})


def behaviour_of(model: str, prompt: str) -> Behaviour:
    """The behaviour that a model name and a prompt ask for. Raises ValueError for settings that do not exist."""
    name, _, query = model.partition("?")
    chosen = _settings(PROFILES.get(name, Behaviour()), dict(parse_qsl(query)))
    start = prompt.find('{"stub"')
    if start >= 0:
        control, _ = json.JSONDecoder().raw_decode(prompt[start:])
        chosen = _settings(chosen, control["stub"])
    return chosen


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content") or ""
            return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return ""


def _frame(data: bytes) -> bytes:
    """One HTTP/1.1 chunk: the ticker writes to the transport itself, past aiohttp's per-write coroutine."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(payload: dict[str, Any] | str) -> bytes:
    body = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
    return f"data: {body}\n\n".encode()


@dataclass(eq=False)
class Stream:
    """One open answer: `sent` of its `words` are out; `done` resolves to an outcome."""

    transport: asyncio.Transport
    words: list[str]
    what: Behaviour
    head: dict[str, Any]
    done: asyncio.Future[str]
    start: float
    sent: int = 0
    last_comment: float = 0.0
    limit: int = field(init=False)

    def __post_init__(self) -> None:
        stops = self.what.fault in {"truncate", "hang", "garbage", "error"}
        self.limit = min(self.what.after, len(self.words)) if stops else len(self.words)

    def delta(self, text: str) -> bytes:
        return _event({**self.head, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})

    def tick(self, now: float) -> None:
        """Write what is due at `now`."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size() > MAX_BUFFERED:
            self.finish("disconnected")
            return
        if now < self.start:
            self.comment(now)
            return
        due = self.limit if self.what.rate <= 0 else min(self.limit, int((now - self.start) * self.what.rate) + 1)
        if due > self.sent:
            text = "".join(f"{word} " for word in self.words[self.sent : due])
            self.transport.write(_frame(self.delta(text)))
            self.sent = due
        if self.sent >= self.limit and self.what.fault != "hang":
            self.finish("sent")

    def comment(self, now: float) -> None:
        if self.what.queued and now - self.last_comment >= 1.0:
            self.last_comment = now
            line = f": queued position={self.what.queued} eta_s={self.start - now:.1f}\n\n"
            self.transport.write(_frame(line.encode()))

    def finish(self, outcome: str) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


class Stub:
    """The server's state: one ticker for all streams, and what has arrived."""

    def __init__(self, key: str | None, tick_s: float) -> None:
        self.key, self.tick_s = key, tick_s
        self.streams: set[Stream] = set()
        self.reset()

    def reset(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.log: deque[dict[str, Any]] = deque(maxlen=200)
        self.counts: Counter[str] = Counter()
        self.peak = len(self.streams)

    async def ticker(self) -> None:
        while True:
            now = time.monotonic()
            for stream in list(self.streams):
                stream.tick(now)
            await asyncio.sleep(max(0.001, self.tick_s - (time.monotonic() - now)))


def _error(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> Any:
    from aiohttp import web

    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)


def _refusal(what: Behaviour, body: dict[str, Any]) -> Any:
    """The response of a fault that strikes before the stream, or None."""
    from aiohttp import web

    retry = {"Retry-After": str(what.retry_after)}
    if what.fault == "429":
        return _error(429, f"Rate limit reached for account {SECRET_ACCOUNT}.", "rate_limit_error", retry)
    if what.fault == "503":
        return _error(503, "The engine is overloaded.", "overloaded_error", retry)
    if what.fault == "500":
        return _error(
            500, f"Internal error: account {SECRET_ACCOUNT}, cluster eu-7, model weights vendor/x-large", "server_error"
        )
    if what.fault == "html":
        return web.Response(
            status=502, text=f"<html><h1>502</h1>upstream {SECRET_ACCOUNT}</html>", content_type="text/html"
        )
    unknown = sorted(set(body) - OPENAI_FIELDS)
    if what.fault == "strict" and unknown:
        return _error(400, f"Unrecognized request argument supplied: {', '.join(unknown)}", "invalid_request_error")
    return None


def _usage(prompt: str, completion: int) -> dict[str, int]:
    tokens = max(1, len(prompt.split()))
    return {"prompt_tokens": tokens, "completion_tokens": completion, "total_tokens": tokens + completion}


async def _chat(request: Any) -> Any:
    stub: Stub = request.app["stub"]
    try:
        body = await request.json()
        model, messages = str(body["model"]), body["messages"]
        prompt = _last_user_text(messages)
        what = behaviour_of(model, prompt)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _error(400, f"bad request: {error!r}", "invalid_request_error")
    key = (model, prompt)
    stub.seen[key] += 1
    if what.times and stub.seen[key] > what.times:
        what = replace(what, fault="none")
    record = {"model": model, "body": body, "headers": dict(request.headers), "outcome": "open"}
    stub.log.append(record)
    stub.counts["requests"] += 1
    response = await _answer(request, stub, what, body, prompt, record)
    return response


async def _answer(
    request: Any, stub: Stub, what: Behaviour, body: dict[str, Any], prompt: str, record: dict[str, Any]
) -> Any:
    from aiohttp import web

    if what.fault == "drop":
        request.transport.close()
        return web.Response()
    if what.fault == "hang_headers":
        while not request.transport.is_closing():
            await asyncio.sleep(0.1)
        return web.Response()
    refused = _refusal(what, body)
    if refused is not None:
        record["outcome"] = str(refused.status)
        return refused
    words = [] if what.fault == "empty" else what.words()
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(words)
    reason = "length" if limit < len(words) else "stop"
    words = words[:limit]
    head = {
        "id": f"chatcmpl-stub-{stub.counts['requests']}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": record["model"],
    }
    if not body.get("stream"):
        return await _whole(what, words, reason, head, prompt)
    return await _streamed(request, stub, what, words, reason, head, prompt, record)


async def _whole(what: Behaviour, words: list[str], reason: str, head: dict[str, Any], prompt: str) -> Any:
    from aiohttp import web

    await asyncio.sleep(what.first_delay + (len(words) / what.rate if what.rate > 0 else 0))
    message = {"role": "assistant", "content": "".join(f"{word} " for word in words)}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    body = {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(prompt, len(words))}
    return web.json_response(body)


async def _streamed(
    request: Any,
    stub: Stub,
    what: Behaviour,
    words: list[str],
    reason: str,
    head: dict[str, Any],
    prompt: str,
    record: dict[str, Any],
) -> Any:
    from aiohttp import web

    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    await response.write(_event({**head, "choices": [first]}))
    done = asyncio.get_running_loop().create_future()
    stream = Stream(request.transport, words, what, head, done, time.monotonic() + what.first_delay)
    stub.streams.add(stream)
    stub.peak = max(stub.peak, len(stub.streams))
    try:
        outcome = await done
    finally:
        stub.streams.discard(stream)
    if outcome == "sent":
        outcome = await _end(response, stream, reason, prompt, bool(request.app["usage"](record["body"])))
    stub.counts[outcome] += 1
    record["outcome"] = outcome
    return response


async def _end(response: Any, stream: Stream, reason: str, prompt: str, usage: bool) -> str:
    """Close the stream the way its fault says; returns the outcome."""
    fault = stream.what.fault
    if fault == "truncate":
        stream.transport.close()
        return "truncated"
    if fault == "garbage":
        await response.write(b'data: {"choices": [{"delta": {"content": \xff\xfe\n\nnot sse at all\n\ndata: [1,2\n\n')
        return "garbage"
    if fault == "error":
        message = f"upstream worker died (account {SECRET_ACCOUNT})"
        await response.write(_event({"error": {"message": message, "type": "server_error", "code": 500}}))
        return "error"
    try:
        last = {"index": 0, "delta": {}, "finish_reason": reason}
        await response.write(_event({**stream.head, "choices": [last]}))
        if usage:
            await response.write(_event({**stream.head, "choices": [], "usage": _usage(prompt, stream.sent)}))
        await response.write(_event("[DONE]"))
    except ConnectionError:
        return "disconnected"
    return "finished"


async def _models(request: Any) -> Any:
    from aiohttp import web

    cards = [{"id": name, "object": "model", "created": 0, "owned_by": "stub"} for name in PROFILES]
    return web.json_response({"object": "list", "data": cards})


async def _health(request: Any) -> Any:
    from aiohttp import web

    return web.json_response({"status": "ok"})


async def _requests(request: Any) -> Any:
    from aiohttp import web

    return web.json_response(list(request.app["stub"].log))


async def _stats(request: Any) -> Any:
    from aiohttp import web

    stub: Stub = request.app["stub"]
    return web.json_response({**stub.counts, "active": len(stub.streams), "peak": stub.peak})


async def _reset(request: Any) -> Any:
    request.app["stub"].reset()
    return await _stats(request)


def make_app(key: str | None, tick_s: float = 0.05) -> Any:
    """The aiohttp application."""
    from aiohttp import web

    @web.middleware
    async def guard(request: Any, handler: Any) -> Any:
        if key and request.path.startswith("/v1/") and request.headers.get("Authorization") != f"Bearer {key}":
            return _error(401, "Missing or wrong API key.", "invalid_request_error")
        return await handler(request)

    async def run_ticker(app: Any) -> Any:
        task = asyncio.create_task(app["stub"].ticker())
        yield
        task.cancel()

    app = web.Application(middlewares=[guard], client_max_size=MAX_BODY)
    app["stub"] = Stub(key, tick_s)
    app["usage"] = lambda body: (body.get("stream_options") or {}).get("include_usage")
    app.cleanup_ctx.append(run_ticker)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/health", _health)
    app.router.add_get("/stub/requests", _requests)
    app.router.add_get("/stub/stats", _stats)
    app.router.add_post("/stub/reset", _reset)
    return app


async def _serve(args: argparse.Namespace) -> None:
    from aiohttp import web

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
