"""The chat completions wire format: the body of a request, and what the events of a streamed answer say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from inference.events import Queued, Wanted
from inference.sse import COMMENT, SseItem
from inference.target import Target

QUEUED = re.compile(r"queued position=(\d{1,9})(?: eta_s=(\d{1,9}(?:\.\d{1,9})?))?")
STANDARD = ("temperature", "top_p")
REASONS = {"stop": "stop", "length": "length", "max_tokens": "length"}
MOST_TOKENS = 2**31 - 1
_decode = json.JSONDecoder().decode
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
FAILED_REASONS = {"content_filter": "rejected", "error": "server_error", "abort": "server_error"}


class WireError(ValueError):
    """The answer failed in its own words; `code` is one of `events.CODES`, `said` the provider's text (operators only)."""

    def __init__(self, code: str, said: str = "") -> None:
        super().__init__(code)
        self.code, self.said = code, said


def request_body(target: Target, wanted: Wanted) -> dict[str, Any]:
    """The JSON of a request: OpenAI's own fields for everybody, ours only for endpoints that accept them."""
    sampling = wanted.sampling
    body: dict[str, Any] = {"model": target.upstream_name, "messages": wanted.messages, "stream": True}
    body.update({name: sampling[name] for name in STANDARD if sampling.get(name) is not None})
    if sampling.get("max_tokens"):
        body[target.limit_field] = sampling["max_tokens"]
    if sampling.get("stop"):
        body["stop"] = sampling["stop"]
    if target.asks_usage:
        body["stream_options"] = {"include_usage": True}
    if target.sends_seed:
        body["seed"] = wanted.seed
    if target.accepts_extras:
        body.update(_extras(wanted))
    return body


def _extras(wanted: Wanted) -> dict[str, Any]:
    args: dict[str, Any] = {"client": wanted.client, "group": wanted.group, "class": wanted.klass}
    if wanted.pair is not None:
        args |= {"pair": wanted.pair, "pair_size": wanted.pair_size}
    extras = {
        "top_k": wanted.sampling.get("top_k"),
        "session_id": wanted.session_id,
        "cache_salt": wanted.cache_salt,
        "vllm_xargs": {name: value for name, value in args.items() if value != ""},
    }
    return {name: value for name, value in extras.items() if value}


class Answer:
    """What a stream has said so far. `began` counts hidden reasoning too; its text is not part of the answer."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self.began = self.has_text = self.done = False
        self.deltas = 0
        self._half = ""

    def read(self, items: Iterable[SseItem]) -> tuple[str, int, Queued | None]:
        """New text, the number of its pieces, and the newest queue comment. Raises WireError."""
        pieces: list[str] = []
        queued: Queued | None = None
        for name, text in items:
            if self.done:
                break
            if name == COMMENT:
                queued = _queued(text) or queued
            elif text == "[DONE]":
                self.done = True
            else:
                piece = self._chunk(text)
                if piece:
                    pieces.append(piece)
        said = self._storable("".join(pieces))
        self.has_text = self.has_text or bool(said)
        self.deltas += len(pieces)
        return said, len(pieces), None if self.began else queued

    def _storable(self, text: str) -> str:
        """`text` without what neither PostgreSQL nor UTF-8 can hold: JSON may say a NUL, or half of a character.

        A character whose halves come in two pieces is put together; a lone half becomes U+FFFD, or nothing at the end.
        """
        text, self._half = self._half + text, ""
        if not UNSTORABLE.search(text):
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return whole.replace("\x00", "\ufffd")

    def _chunk(self, text: str) -> str:
        try:
            chunk = _decode(text)
            if chunk.get("error"):
                raise WireError(_code_of(chunk["error"]), json.dumps(chunk["error"]))
            if usage := chunk.get("usage"):
                self._usage(usage)
            choices = chunk.get("choices")
            return self._choice(choices[0]) if choices else ""
        except WireError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise WireError("bad_response", "an event is no chat completion chunk") from None

    def _choice(self, choice: dict[str, Any]) -> str:
        if choice.get("finish_reason"):
            self._finish(str(choice["finish_reason"]))
        delta = choice.get("delta") or {}
        content = delta.get("content") or ""
        if not isinstance(content, str):
            raise TypeError
        if content or delta.get("reasoning_content") or delta.get("reasoning"):
            self.began = True
        return content

    def _finish(self, reason: str) -> None:
        if reason in FAILED_REASONS:
            raise WireError(FAILED_REASONS[reason], f"finish_reason: {reason}")
        if reason in ("tool_calls", "function_call"):
            raise WireError("bad_response", "the model called a tool that nobody offered")
        self.reason = REASONS.get(reason, "stop")

    def _usage(self, usage: Any) -> None:
        self.tokens_in, self.tokens_out = _count(usage["prompt_tokens"]), _count(usage["completion_tokens"])


def _count(value: Any) -> int | None:
    """A token count; None for a number that cannot be one. Raises TypeError for what is no number."""
    return int(value) if 0 <= value <= MOST_TOKENS else None


def _code_of(error: Any) -> str:
    """Our code for an error object inside the stream; our engine says `shed` or `draining` when it is too much for it."""
    said = {str(error.get("code")), str(error.get("type"))} if isinstance(error, dict) else set()
    if said & {"shed", "draining", "overloaded_error", "503"}:
        return "busy"
    return "rate_limited" if said & {"rate_limit_error", "rate_limit_exceeded", "429"} else "server_error"


def _queued(comment: str) -> Queued | None:
    match = QUEUED.fullmatch(comment)
    return Queued(int(match[1]), float(match[2]) if match[2] else None) if match else None
