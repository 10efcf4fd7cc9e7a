"""A test reply from an endpoint, for operators: how fast it is, or what it says when it fails."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from inference.client import Client, UpstreamFailed
from inference.events import Finished, Text, Wanted
from inference.target import Target

PROMPT = "Say hello in one short sentence."
MAX_TOKENS = 64
MOST_S = 30.0  # an operator waits no longer, whatever the endpoint's own deadlines are
AT_ONCE = 8
SHOWN_CHARS = 400


@dataclass(slots=True)
class Probe:
    """What became of one test. Times in seconds from the request; `said` is the provider's own text, cut and redacted."""

    target: Target
    first_text_s: float | None = None
    total_s: float = 0.0
    text: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    reason: str = ""
    code: str = ""
    status: int | None = None
    said: str = ""
    started: float = field(default_factory=time.monotonic, repr=False)

    @property
    def tokens_per_s(self) -> float | None:
        """After the first token; None when there is too little to say."""
        if not self.tokens_out or self.tokens_out < 2 or self.first_text_s is None or self.total_s <= self.first_text_s:
            return None
        return (self.tokens_out - 1) / (self.total_s - self.first_text_s)


async def probe(client: Client, target: Target, prompt: str = PROMPT) -> Probe:
    """Stream one short reply. Failures are part of the answer, never raised."""
    result = Probe(_hurried(target))
    wanted = Wanted(
        model=target.model,
        adapter=target.adapter,
        messages=[{"role": "user", "content": prompt}],
        sampling={"temperature": 0.0, "max_tokens": MAX_TOKENS},
        client="operator-test",
    )
    try:
        async with aclosing(client.stream(result.target, wanted)) as events:
            async for event in events:
                _note(result, event)
    except UpstreamFailed as failed:
        result.code, result.status, result.said = failed.code, failed.status, failed.said
    result.total_s = time.monotonic() - result.started
    return result


def _hurried(target: Target) -> Target:
    asked = target.timeouts
    timeouts = replace(
        asked, first_token_s=min(asked.first_token_s, MOST_S), total_s=min(asked.total_s, MOST_S), queue_s=0.0
    )
    return replace(target, timeouts=timeouts)


def _note(result: Probe, event: object) -> None:
    if isinstance(event, Text):
        if result.first_text_s is None:
            result.first_text_s = time.monotonic() - result.started
        result.text = (result.text + event.text)[:SHOWN_CHARS]
    elif isinstance(event, Finished):
        result.reason, result.tokens_in, result.tokens_out = event.reason, event.tokens_in, event.tokens_out


async def probe_all(targets: Sequence[Target]) -> list[Probe]:
    """Test up to AT_ONCE targets at the same time; the others are left out."""
    async with Client() as client:
        return await asyncio.gather(*[probe(client, target) for target in targets[:AT_ONCE]])
