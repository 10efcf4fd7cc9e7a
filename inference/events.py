"""What is wanted from a model, and what comes back: the words between `inference.dispatch` and its callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

# Everything that can go wrong, by code. Public pages translate these; a provider's own words never leave `client`.
CODES = frozenset(
    {
        "unreachable",  # no connection, or it broke before an answer began
        "timeout",  # one of the endpoint's four deadlines passed
        "rate_limited",  # 429
        "server_error",  # 5xx, or an error object inside the stream
        "bad_response",  # not the protocol: garbage, a redirect, too long a line, an answer without text
        "rejected",  # any other 4xx: key, model name, parameters, or the provider's own filter
        "truncated",  # the stream ended without its end
        "busy",  # a waiting bound is reached (ours, or 503 of the endpoint)
        "no_deployment",  # nothing serves this model
    }
)


class GenerationFailed(Exception):
    """A generation ended without its end.

    `code` is one of CODES; `retry_after_s` says when it makes sense to ask again (0 = no idea); `after_text` whether some
    text had been passed on before (then nobody may retry silently).
    """

    def __init__(self, code: str, retry_after_s: float = 0.0, after_text: bool = False) -> None:
        assert code in CODES, code
        super().__init__(code)
        self.code, self.retry_after_s, self.after_text = code, retry_after_s, after_text


@dataclass(frozen=True, slots=True)
class Wanted:
    """One generation. Its texts stay out of `repr`, for a repr may reach a log.

    `messages` are chat messages, `sampling` holds temperature, top_p, top_k (0 = off), max_tokens and stop; all of the last
    six fields are opaque names for fairness and cache isolation, sent only to endpoints that accept them.
    """

    model: str
    adapter: str | None
    messages: list[dict[str, Any]] = field(repr=False)
    sampling: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    client: str = ""
    group: str = ""
    klass: str = "battle"
    pair: str | None = None
    pair_size: int = 1
    session_id: str = ""
    cache_salt: str = field(default="", repr=False)

    def input_estimate(self) -> int:
        """Input tokens, roughly (4 characters each): for fair queueing only, the endpoint's usage corrects it."""
        return sum(len(str(message.get("content", ""))) // 4 + 4 for message in self.messages)


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits: its place (1 = next) and seconds to go, each None when nobody knows."""

    position: int | None
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Opened:
    """An endpoint has accepted the request; comes again, with another id, after a silent failover."""

    deployment_id: UUID


class Text(NamedTuple):
    """More of the answer; `deltas` counts the pieces it came in (about one token each)."""

    text: str
    deltas: int = 1


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole. Token counts are the endpoint's, None where it tells none."""

    reason: str
    tokens_in: int | None
    tokens_out: int | None


Event = Queued | Opened | Text | Finished
