"""What a request to the stub engine gets: settings by model name or by a control object in the prompt."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl

from tests.stub import prose

SECRET_ACCOUNT = "acct_5f3aSECRET77"
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
    prose: int = 0
    spread: float = 0.0
    hold: int = 0
    jitter: float = 0.0

    def words(self, seed: int = 0) -> list[str]:
        if self.prose:
            return ["", *prose.words(prose.number(seed), self.n - 1)]  # the first one is stamped when it leaves
        return self.text.split(" ") if self.text else [f"w{i + 1}" for i in range(self.n)]

    def seeded(self, seed: int) -> Behaviour:
        """This request's own rate, and its place in the crowd that starts together."""
        pick = random.Random(seed)
        rate = self.rate * (1 + self.spread * (2 * pick.random() - 1))
        return replace(self, rate=rate, jitter=self.jitter * pick.random())


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


def last_user_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content") or ""
            return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return ""
