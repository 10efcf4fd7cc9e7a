"""The body of POST /v1/chat/completions: every field read, typed and bounded; everything else refused by name.

Names and rules are OpenAI's; `top_k`, `prompt_logprobs`, `ignore_eos`, `continue_final_message`, `add_generation_prompt`,
`cache_salt`, `session_id` and `vllm_xargs` are vLLM's. docs/engine.md lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from inference.engine.errors import bad_request
from inference.engine.text import ChatMessage
from inference.scheduler.protocol import ServiceClass

T = TypeVar("T")

MAX_MESSAGES = 1000
MAX_STOPS, MAX_STOP_CHARS = 16, 256
MAX_ID_CHARS = 256
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

# Accepted and without effect here: they tell a vendor who is asking, or how to bill it.
IGNORED = frozenset({"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"})
# OpenAI fields that we do not have: allowed as long as they ask for nothing.
NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "repetition_penalty": (1, 1.0),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
FIELDS = frozenset(
    {"model", "messages", "stream", "stream_options", "temperature", "top_p", "top_k", "seed", "stop", "ignore_eos"}
    | {"max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "prompt_logprobs", "continue_final_message"}
    | {"add_generation_prompt", "cache_salt", "session_id", "vllm_xargs"}
)
XARGS = frozenset({"client", "group", "class", "order", "pair", "pair_size"})


@dataclass(frozen=True, slots=True)
class Fairness:
    """Who asks, for the scheduler: `vllm_xargs`."""

    client: str = ""
    group: str = ""
    klass: ServiceClass = ServiceClass.BATTLE
    order: float | None = None
    pair: str | None = None
    pair_size: int = 1


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid request.

    `max_tokens` None is the server's default; `logprobs` / `prompt_logprobs` count alternatives, None is off.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    stream: bool = False
    include_usage: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    continue_final: bool = False
    add_generation_prompt: bool = True
    cache_salt: str | None = None
    session_id: str | None = None
    fairness: Fairness = field(default_factory=Fairness)


class Reader:
    """Typed access to a JSON object; null counts as absent. Every method raises a 400 that names the field."""

    def __init__(self, raw: Mapping[str, Any], prefix: str = "") -> None:
        self._raw, self._prefix = raw, prefix

    def _get(self, name: str) -> tuple[Any, str]:
        return self._raw.get(name), self._prefix + name

    def boolean(self, name: str, default: bool | None = None) -> bool | None:
        value, path = self._get(name)
        if value is not None and not isinstance(value, bool):
            raise bad_request(f"`{path}` must be true or false", path)
        return default if value is None else value

    def number(self, name: str, low: float, high: float) -> float | None:
        value, path = self._get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise bad_request(f"`{path}` must be a number from {low:g} to {high:g}", path)
        return float(value)

    def integer(self, name: str, low: int, high: int) -> int | None:
        value, path = self._get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise bad_request(f"`{path}` must be a whole number from {low} to {high}", path)
        return value

    def text(self, name: str, max_chars: int = MAX_ID_CHARS) -> str | None:
        value, path = self._get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= max_chars:
            raise bad_request(f"`{path}` must be a string of 1 to {max_chars} characters", path)
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        value, path = self._get(name)
        if value is not None and not isinstance(value, dict):
            raise bad_request(f"`{path}` must be an object", path)
        return value or {}


def parse_chat(body: object, max_logprobs: int = 20) -> ChatRequest:
    """The request that a JSON body asks for. Raises ApiError (400) that names the field and says what is allowed."""
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    _refuse_unknown(body)
    read = Reader(body)
    model = read.text("model")
    if model is None:
        raise bad_request("`model` is missing", "model")
    stream = bool(read.boolean("stream"))
    prompt_logprobs = read.integer("prompt_logprobs", 0, max_logprobs)
    if stream and prompt_logprobs is not None:
        raise bad_request("`prompt_logprobs` is not available with `stream`: ask without it", "prompt_logprobs")
    messages = _messages(body.get("messages"))
    continue_final, generation_prompt = _ending(read, messages)
    return ChatRequest(
        model=model,
        messages=messages,
        stream=stream,
        include_usage=_include_usage(read, stream),
        temperature=_or(read.number("temperature", 0, 100), 1.0),
        top_p=_or(read.number("top_p", 1e-6, 1), 1.0),
        top_k=max(0, _or(read.integer("top_k", -1, 1_000_000), 0)),
        seed=_seed(read),
        max_tokens=_max_tokens(read),
        stop=_stops(body.get("stop")),
        ignore_eos=bool(read.boolean("ignore_eos")),
        logprobs=_logprobs(read, max_logprobs),
        prompt_logprobs=prompt_logprobs,
        continue_final=continue_final,
        add_generation_prompt=generation_prompt,
        cache_salt=read.text("cache_salt"),
        session_id=read.text("session_id"),
        fairness=_fairness(read.mapping("vllm_xargs")),
    )


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _refuse_unknown(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in FIELDS or name in IGNORED or value is None:
            continue
        if name not in NEUTRAL:
            raise bad_request(f"unknown field `{name[:64]}`", name[:64])
        if isinstance(value, bool) != isinstance(NEUTRAL[name][0], bool) or value not in NEUTRAL[name]:
            raise bad_request(f"this engine has no `{name}`: leave it out", name)


def _messages(raw: object) -> tuple[ChatMessage, ...]:
    if not isinstance(raw, list) or not 0 < len(raw) <= MAX_MESSAGES:
        raise bad_request(f"`messages` must be a list of 1 to {MAX_MESSAGES} messages", "messages")
    return tuple(_message(entry, f"messages[{i}]") for i, entry in enumerate(raw))


def _message(raw: object, path: str) -> ChatMessage:
    if not isinstance(raw, dict):
        raise bad_request(f"`{path}` must be an object with role and content", path)
    unknown = sorted(set(raw) - {"role", "content", "name"})
    if unknown:
        raise bad_request(f"unknown field `{path}.{unknown[0][:64]}`", path)
    role = raw.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise bad_request(f"`{path}.role` must be one of: {', '.join(ROLES)}", f"{path}.role")
    return ChatMessage(ROLES[role], _content(raw.get("content"), f"{path}.content"))


def _content(raw: object, path: str) -> str:
    """A string, or OpenAI's list of parts as long as all are text. No tokenizer takes lone surrogates: refused."""
    if isinstance(raw, list):
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in raw]
        if not all(isinstance(part, str) for part in parts):
            raise bad_request(f"`{path}` may hold parts of type text only", path)
        raw = "".join(str(part) for part in parts)
    if not isinstance(raw, str):
        raise bad_request(f"`{path}` must be a string or a list of text parts", path)
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise bad_request(f"`{path}` is not valid Unicode text", path) from None
    return raw


def _ending(read: Reader, messages: tuple[ChatMessage, ...]) -> tuple[bool, bool]:
    """(continue_final_message, add_generation_prompt): exclusive as in vLLM; continuing switches the prompt off."""
    continue_final = bool(read.boolean("continue_final_message"))
    generation_prompt = read.boolean("add_generation_prompt")
    if continue_final and generation_prompt:
        message = "`continue_final_message` and `add_generation_prompt` cannot both be true"
        raise bad_request(message, "continue_final_message")
    if continue_final and messages[-1].role != "assistant":
        raise bad_request("`continue_final_message` needs a final assistant message", "messages")
    return continue_final, (not continue_final) if generation_prompt is None else generation_prompt


def _include_usage(read: Reader, stream: bool) -> bool:
    options = read.mapping("stream_options")
    if options and not stream:
        raise bad_request("`stream_options` needs `stream`", "stream_options")
    unknown = sorted(set(options) - {"include_usage"})
    if unknown:
        raise bad_request(f"unknown field `stream_options.{unknown[0][:64]}`", "stream_options")
    return bool(Reader(options, "stream_options.").boolean("include_usage"))


def _seed(read: Reader) -> int | None:
    """OpenAI's seed is a signed 64-bit number; the engine's stream key is unsigned."""
    seed = read.integer("seed", -(1 << 63), (1 << 64) - 1)
    return None if seed is None else seed % (1 << 64)


def _max_tokens(read: Reader) -> int | None:
    newer, older = (read.integer(name, 1, 1 << 31) for name in ("max_completion_tokens", "max_tokens"))
    if newer is not None and older is not None and newer != older:
        raise bad_request("`max_tokens` and `max_completion_tokens` differ: send one", "max_tokens")
    return older if newer is None else newer


def _stops(raw: object) -> tuple[str, ...]:
    if raw is None:
        return ()
    stops = raw if isinstance(raw, list) else [raw]
    if len(stops) > MAX_STOPS or not all(isinstance(stop, str) and 0 < len(stop) <= MAX_STOP_CHARS for stop in stops):
        message = f"`stop` must be a string or up to {MAX_STOPS} strings, of 1 to {MAX_STOP_CHARS} characters each"
        raise bad_request(message, "stop")
    return tuple(stops)


def _logprobs(read: Reader, most: int) -> int | None:
    wanted, top = read.boolean("logprobs"), read.integer("top_logprobs", 0, most)
    if top and not wanted:
        raise bad_request("`top_logprobs` needs `logprobs`", "top_logprobs")
    return (top or 0) if wanted else None


def _fairness(raw: Mapping[str, Any]) -> Fairness:
    read = Reader(raw, "vllm_xargs.")
    unknown = sorted(set(raw) - XARGS)
    if unknown:
        raise bad_request(f"unknown field `vllm_xargs.{unknown[0][:64]}`", "vllm_xargs")
    classes = ", ".join(klass.value for klass in ServiceClass)
    try:
        klass = ServiceClass(read.text("class") or ServiceClass.BATTLE)
    except ValueError:
        raise bad_request(f"`vllm_xargs.class` must be one of: {classes}", "vllm_xargs.class") from None
    pair, pair_size = read.text("pair"), read.integer("pair_size", 1, 2)
    if pair is None and pair_size == 2:
        raise bad_request("`vllm_xargs.pair_size` needs `vllm_xargs.pair`", "vllm_xargs.pair")
    return Fairness(
        client=read.text("client") or "",
        group=read.text("group") or "",
        klass=klass,
        order=read.number("order", -1e18, 1e18),
        pair=pair,
        pair_size=_or(pair_size, 1 if pair is None else 2),
    )
