"""The stub engine's HTTP side (aiohttp)."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from typing import Any

from aiohttp import web

from tests.stub.behaviour import OPENAI_FIELDS, PROFILES, SECRET_ACCOUNT, Behaviour, behaviour_of, last_user_text
from tests.stub.streams import Stream, Stub, event

MAX_BODY = 4 * 1024 * 1024


def _error(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> Any:
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)


def _refusal(what: Behaviour, body: dict[str, Any]) -> Any:
    """The response of a fault that strikes before the stream, or None."""
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
        prompt = last_user_text(messages)
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
    seed = int(body.get("seed") or 0)
    what = what.seeded(seed)
    words = [] if what.fault == "empty" else what.words(seed)
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
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    await response.write(event({**head, "choices": [first]}))
    done = asyncio.get_running_loop().create_future()
    start = math.inf if what.hold and not what.after else time.monotonic() + what.first_delay
    stream = Stream(request.transport, words, what, head, done, start, seed=int(record["body"].get("seed") or 0))
    stub.streams.add(stream)
    stub.peak = max(stub.peak, len(stub.streams))
    try:
        outcome = await done
    finally:
        stub.streams.discard(stream)
    if outcome == "sent":
        outcome = await _end(response, stream, reason, prompt, bool(request.app["usage"](record["body"])))
    stub.counts[outcome] += 1
    stub.counts["tokens"] += stream.sent
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
        await response.write(event({"error": {"message": message, "type": "server_error", "code": 500}}))
        return "error"
    try:
        last = {"index": 0, "delta": {}, "finish_reason": reason}
        await response.write(event({**stream.head, "choices": [last]}))
        if usage:
            await response.write(event({**stream.head, "choices": [], "usage": _usage(prompt, stream.sent)}))
        await response.write(event("[DONE]"))
    except ConnectionError:
        return "disconnected"
    return "finished"


async def _models(request: Any) -> Any:
    cards = [{"id": name, "object": "model", "created": 0, "owned_by": "stub"} for name in PROFILES]
    return web.json_response({"object": "list", "data": cards})


async def _health(request: Any) -> Any:
    return web.json_response({"status": "ok"})


async def _metrics(request: Any) -> Any:
    """The figures of our own engine's page that operators are shown."""
    stub: Stub = request.app["stub"]
    figures = {"core_running": len(stub.streams), "waiting_units": 0, "core_pages": 100, "core_pages_used": 25}
    figures |= {"core_output_tokens_total": stub.counts["tokens"], "service_jain_index": 1}
    return web.Response(text="".join(f"agon_engine_{name} {value}\n" for name, value in figures.items()))


async def _requests(request: Any) -> Any:
    return web.json_response(list(request.app["stub"].log))


async def _stats(request: Any) -> Any:
    stub: Stub = request.app["stub"]
    return web.json_response({**stub.counts, "active": len(stub.streams), "peak": stub.peak})


async def _reset(request: Any) -> Any:
    request.app["stub"].reset()
    return await _stats(request)


async def _go(request: Any) -> Any:
    request.app["stub"].go()
    return await _stats(request)


def make_app(key: str | None, tick_s: float = 0.05) -> Any:
    """The aiohttp application."""

    @web.middleware
    async def guard(request: Any, handler: Any) -> Any:
        if (
            key
            and request.path.startswith(("/v1/", "/metrics"))
            and request.headers.get("Authorization") != f"Bearer {key}"
        ):
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
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/stub/requests", _requests)
    app.router.add_get("/stub/stats", _stats)
    app.router.add_post("/stub/reset", _reset)
    app.router.add_post("/stub/go", _go)
    return app
