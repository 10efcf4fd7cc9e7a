"""The OpenAI moderation endpoint (POST /v1/moderations), or anything that speaks its protocol.

Long texts are sent in overlapping pieces, of which the worst counts. An answer is read with suspicion: one that does not hold
exactly one sound result for each piece is an error, and so is everything that could be read as a pass by accident.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import aiohttp
from django.conf import settings

from arena.models.moderation import Standing
from arena.moderation.backends import Misconfigured, Opinion

log = logging.getLogger(__name__)
PIECE, OVERLAP = 20_000, 200  # characters
MOST_ANSWER = 8_000_000  # bytes of an answer that are read
REFUSES_US = {401, 403, 404, 405}
COMES_BACK = {408, 409, 425, 429, 500, 502, 503, 504}
UNNAMED = "unspecified"  # flagged, without a category that says why
FIRST_PAUSE_S = 0.5


class Failed(Exception):
    """One request failed with `code`; `retry_after` seconds may help, None never."""

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code, self.retry_after = code, retry_after


@dataclass
class OpenAIModeration:
    """`thresholds` flag a category from a score on, whatever the endpoint says; they never pass what it flags."""

    url: str
    model: str
    key: str = ""
    thresholds: Mapping[str, float] | None = None
    timeout_s: float = 15.0
    tries: int = 2
    retry_after_s: float = 10.0
    name: str = "openai"

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            url=settings.MODERATION_URL,
            model=settings.MODERATION_MODEL,
            key=settings.MODERATION_KEY,
            thresholds=settings.MODERATION_THRESHOLDS,
            timeout_s=settings.MODERATION_TIMEOUT_S,
            tries=settings.MODERATION_TRIES,
            retry_after_s=settings.MODERATION_RETRY_AFTER_S,
        )

    def look(self, texts: Sequence[str]) -> list[Opinion]:
        """One request for all texts, tried at most `tries` times, each at most `timeout_s` long."""
        if not texts:
            return []
        pieces = [(at, piece) for at, text in enumerate(texts) for piece in _pieces(text)]
        began = time.monotonic()
        try:
            answer = asyncio.run(self._ask([piece for _at, piece in pieces]))
            read = self._read(answer, len(pieces))
        except Failed as failure:
            away = failure.retry_after is not None
            opinions = [Opinion(Standing.ERROR, error=failure.code, version=self.model, away=away)] * len(texts)
        else:
            opinions = [
                _worst([one for (of, _piece), one in zip(pieces, read, strict=True) if of == at])
                for at in range(len(texts))
            ]
        latency = round((time.monotonic() - began) * 1000)
        return [replace(opinion, latency_ms=latency) for opinion in opinions]

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, pieces: list[str]) -> object:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            for left in reversed(range(self.tries)):
                try:
                    return await self._post(session, {"model": self.model, "input": pieces})
                except Failed as failure:
                    if not left or failure.retry_after is None or failure.retry_after > self.retry_after_s:
                        raise
                    await asyncio.sleep(max(failure.retry_after, FIRST_PAUSE_S * 2 ** (self.tries - 1 - left)))
        raise Failed("unreachable")

    async def _post(self, session: aiohttp.ClientSession, body: dict[str, object]) -> object:
        try:
            async with session.post(self.url, json=body, allow_redirects=False) as response:
                if response.status in REFUSES_US:
                    raise Misconfigured(
                        f"{self.url} answers {response.status}: check AGON_MODERATION_KEY, _URL and _MODEL"
                    )
                if response.status != 200:
                    after = _seconds(response.headers.get("Retry-After")) if response.status in COMES_BACK else None
                    raise Failed(f"http_{response.status}", after)
                return json.loads(await _body(response))
        except TimeoutError:
            raise Failed("timeout", 0.0) from None
        except (aiohttp.ClientError, OSError):
            raise Failed("unreachable", 0.0) from None
        except (ValueError, RecursionError):
            raise Failed("malformed") from None

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, answer: object, wanted: int) -> list[Opinion]:
        """One opinion per piece. Raises Failed when the answer as a whole cannot be trusted."""
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != wanted:
            raise Failed("incomplete" if isinstance(results, list) else "malformed")
        said = answer.get("model") if isinstance(answer, dict) else None
        version = said[:80] if isinstance(said, str) and said else self.model
        return [self._opinion(result, version) for result in results]

    def _opinion(self, result: object, version: str) -> Opinion:
        try:
            flagged, named, scores = _sound(result)
        except ValueError:
            return Opinion(Standing.ERROR, error="malformed", version=version)
        limits = self.thresholds or {}
        named |= {name for name, score in scores.items() if score >= limits.get(name, math.inf)}
        if flagged and not named:
            named = {UNNAMED}
        standing = Standing.FLAGGED if named else Standing.PASSED
        return Opinion(standing, tuple(sorted(named)), scores, version)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        raw += chunk
        if len(raw) > MOST_ANSWER:
            raise Failed("too_long")
    return bytes(raw)


def _sound(result: object) -> tuple[bool, set[str], dict[str, float]]:
    """Flagged, flagged categories, scores. Raises ValueError for whatever a sound result cannot be."""
    match result:
        case {"flagged": bool(flagged), "categories": dict(categories), "category_scores": dict(scores)} if categories:
            pass
        case _:
            raise ValueError("not a result")
    known = {name: said for name, said in categories.items() if said is not None}  # null: this model does not know it
    if not known or not all(isinstance(said, bool) for said in known.values()):
        raise ValueError("categories")
    numbers = {name: _score(score) for name, score in scores.items() if score is not None}
    if not set(known) <= set(numbers):
        raise ValueError("scores are missing")
    return flagged, {name[:60] for name, said in known.items() if said}, {name[:60]: n for name, n in numbers.items()}


def _score(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score) or not 0 <= score <= 1:
        raise ValueError("score")
    return float(score)


def _pieces(text: str) -> Iterator[str]:
    yield text[:PIECE]
    for start in range(PIECE - OVERLAP, len(text) - OVERLAP, PIECE - OVERLAP):
        yield text[start : start + PIECE]


def _worst(opinions: list[Opinion]) -> Opinion:
    """Of the pieces of one text: flagged before failed before passed, with every category and the highest scores."""
    order = [Standing.FLAGGED, Standing.ERROR, Standing.PASSED]
    worst = min(opinions, key=lambda one: order.index(one.standing))
    scores: dict[str, float] = {}
    for one in opinions:
        for name, score in one.scores.items():
            scores[name] = max(score, scores.get(name, 0.0))
    return replace(
        worst, categories=tuple(sorted({name for one in opinions for name in one.categories})), scores=scores
    )


def _seconds(header: str | None) -> float:
    """Retry-After in seconds; one that is no number (a date) is too long to wait for here."""
    try:
        return max(0.0, float(header)) if header else 0.0
    except ValueError:
        return math.inf
