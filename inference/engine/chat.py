"""POST /v1/chat/completions: a request becomes a sequence, its outputs an event stream or one JSON answer."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from inference.engine.asgi import Disconnected, Http, comment, dumps, event
from inference.engine.errors import ApiError, bad_request
from inference.engine.metrics import Metrics
from inference.engine.reply import Delta, Reply
from inference.engine.requests import ChatRequest, parse_chat
from inference.engine.runner import Runner
from inference.engine.sequence import RequestError, SamplingParams, Sequence
from inference.engine.text import ChatText
from inference.engine.ticket import News, Queued, Ticket
from inference.scheduler.protocol import Request

SHOWN = 20  # models named in a message
LONG_PROMPT_CHARS = 20_000  # longer ones are tokenised outside the event loop


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """Bounds of one request. `context` is prompt + reply in tokens, `body_bytes` the HTTP body."""

    context: int
    body_bytes: int = 1 << 20
    default_max_tokens: int = 512
    max_logprobs: int = 20


class ChatApi:
    """Chat completions over one runner. `adapters` maps a model name to its adapter, the base model to None."""

    def __init__(
        self, runner: Runner, text: ChatText, models: dict[str, str | None], limits: ChatLimits, metrics: Metrics
    ) -> None:
        self._runner, self._text, self._models = runner, text, models
        self._limits, self._metrics = limits, metrics

    async def handle(self, http: Http) -> None:
        """Answer one request. Raises ApiError (to be answered by the caller) and Disconnected."""
        began = time.monotonic()
        asked = parse_chat(await http.json(self._limits.body_bytes), self._limits.max_logprobs)
        seq = await self._sequence(asked)
        reply = Reply(self._text, asked.stop, seq.params.stop_token_ids, len(seq.prompt_ids))
        exchange = Exchange(http, asked, seq, reply, self._metrics, began)
        async with self._open(http, seq) as ticket:
            await (exchange.stream(ticket) if asked.stream else exchange.whole(ticket))

    async def _sequence(self, asked: ChatRequest) -> Sequence:
        """The sequence of a request. Raises ApiError 404 (model) or 400 (prompt)."""
        if asked.model not in self._models:
            names = ", ".join(sorted(self._models)[:SHOWN]) + (", ..." if len(self._models) > SHOWN else "")
            raise ApiError(
                404, f"there is no model {asked.model!r} here; there are: {names}", "model", "model_not_found"
            )
        try:
            ids = await self._prompt_ids(asked)
            params = self._params(asked, len(ids))
        except RequestError as error:
            raise bad_request(str(error), "messages") from None
        seq_id = f"chatcmpl-{uuid.uuid4().hex}"
        adapter = self._models[asked.model]
        who = asked.fairness
        request = Request(
            seq_id,
            client=who.client,
            group=who.group,
            klass=who.klass,
            input_len=len(ids),
            max_output=params.max_tokens,
            arrival=time.monotonic(),
            order=who.order,
            pair=who.pair,
            pair_size=who.pair_size,
            adapter=adapter,
            meta={"session_id": asked.session_id, "cache_salt": asked.cache_salt},
        )
        return Sequence(seq_id, ids, params, adapter, request)

    async def _prompt_ids(self, asked: ChatRequest) -> list[int]:
        args = (asked.messages, asked.add_generation_prompt, asked.continue_final)
        if sum(len(message.content) for message in asked.messages) > LONG_PROMPT_CHARS:
            ids = await asyncio.to_thread(self._text.prompt_ids, *args)
        else:
            ids = self._text.prompt_ids(*args)
        if not ids:
            raise bad_request("the prompt has no tokens", "messages")
        return ids

    def _params(self, asked: ChatRequest, prompt_len: int) -> SamplingParams:
        """Sampling parameters; `max_tokens` is cut to the room that the prompt leaves, which must be at least one."""
        room = self._limits.context - prompt_len
        if room < 1:
            message = (
                f"the prompt has {prompt_len} tokens; with at least one token of reply "
                f"the context of {self._limits.context} tokens is exceeded: shorten the messages"
            )
            raise ApiError(400, message, "messages", "context_length_exceeded")
        return SamplingParams(
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            seed=asked.seed,
            max_tokens=min(room, asked.max_tokens or self._limits.default_max_tokens),
            stop_token_ids=() if asked.ignore_eos else self._text.stop_token_ids,
            logprobs=asked.logprobs,
            prompt_logprobs=asked.prompt_logprobs,
        )

    @asynccontextmanager
    async def _open(self, http: Http, seq: Sequence) -> AsyncIterator[Ticket]:
        """Submit `seq`; whatever happens, also the client leaving, the engine forgets it at the end."""
        ticket = await self._runner.submit(seq)
        watch = asyncio.create_task(self._watch(http, ticket))
        try:
            yield ticket
        finally:
            watch.cancel()
            ticket.abort()

    async def _watch(self, http: Http, ticket: Ticket) -> None:
        await http.gone()
        ticket.abort()
        ticket.fail(ApiError(499, "the client closed the connection", code="client_closed"))


class Exchange:
    """One request being answered."""

    def __init__(
        self, http: Http, asked: ChatRequest, seq: Sequence, reply: Reply, metrics: Metrics, began: float
    ) -> None:
        self._http, self._asked, self._seq, self._reply = http, asked, seq, reply
        self._metrics, self._began = metrics, began
        self._first = True
        self._created = int(time.time())

    async def stream(self, ticket: Ticket) -> None:
        """Server-sent events until the end. Headers wait for the first news, so that a shed request gets its 503."""
        finished = False
        while not finished:
            news = await self._news(ticket)
            data = b"" if news.queued is None or news.outputs else comment(_queued_text(news.queued))
            if news.outputs:
                opening = self._chunk({"role": "assistant", "content": ""}) if self._first else b""
                delta = self._feed(ticket, news)
                data = opening + self._delta_events(delta)
                finished = delta.finish is not None
            if not self._http.started:
                await self._http.start(200, "text/event-stream", [(b"x-accel-buffering", b"no")])
            if data:
                await self._http.write(data, more=not finished)

    def _delta_events(self, delta: Delta) -> bytes:
        """The events of a delta; with its end also usage (when asked for) and [DONE]."""
        data = b""
        if delta.text or delta.logprobs:
            data = self._chunk({"content": delta.text}, logprobs=delta.logprobs)
        if delta.finish is None:
            return data
        data += self._chunk({}, finish=delta.finish)
        if self._asked.include_usage:
            data += event(dumps({**self._head("chat.completion.chunk"), "choices": [], "usage": self._reply.usage()}))
        return data + event(b"[DONE]")

    async def whole(self, ticket: Ticket) -> None:
        """One JSON answer at the end."""
        text, logprobs, finish = "", [], None
        while finish is None:
            news = await self._news(ticket)
            if news.outputs:
                delta = self._feed(ticket, news)
                text, finish = text + delta.text, delta.finish
                logprobs += delta.logprobs
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": {"content": logprobs} if self._asked.logprobs is not None else None,
            "finish_reason": finish,
        }
        body = {**self._head("chat.completion"), "choices": [choice], "usage": self._reply.usage()}
        if self._asked.prompt_logprobs is not None:
            body["prompt_logprobs"] = self._reply.prompt_logprobs
        await self._http.answer_json(body)

    async def _news(self, ticket: Ticket) -> News:
        try:
            return await ticket.news()
        except ApiError as error:
            if error.code == "client_closed":
                raise Disconnected from None
            raise

    def _feed(self, ticket: Ticket, news: News) -> Delta:
        """News into text. Raises ApiError when the engine failed on this request."""
        now = time.monotonic()
        if self._first and news.outputs:
            self._first = False
            self._metrics.first_token.observe(now - self._began)
        delta = self._reply.feed(news.outputs)
        if delta.finish is None:
            return delta
        if self._reply.hit_stop_string:
            ticket.abort()
        if delta.finish == "error":
            raise ApiError(500, f"the engine failed on this request: {delta.error}", code="engine_error")
        self._metrics.outcomes[delta.finish] += 1
        self._metrics.prompt_tokens += self._reply.prompt_tokens
        self._metrics.completion_tokens += self._reply.completion_tokens
        self._metrics.duration.observe(now - self._began)
        return delta

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._seq.id, "object": kind, "created": self._created, "model": self._asked.model}

    def _chunk(
        self, delta: dict[str, Any], logprobs: list[dict[str, Any]] | None = None, finish: str | None = None
    ) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        if self._asked.logprobs is not None and logprobs:
            choice["logprobs"] = {"content": logprobs}
        payload = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return event(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())


def _queued_text(queued: Queued) -> str:
    return f"queued position={queued.position} eta_s={queued.eta_s:.1f}"
