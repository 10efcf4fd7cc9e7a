"""Backends that may pass a text: a small protocol, and the one that is configured.

A backend is asked in worker-batch only. Whatever goes wrong with a text is an opinion with `error`, never a pass; what is wrong
with the configuration itself is `Misconfigured`, which says nothing about any text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings

from arena.models.moderation import Standing


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a backend says of one text. `categories` are those it flagged, under their own names, known to us or not."""

    standing: Standing  # PASSED, FLAGGED or ERROR
    categories: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    version: str = ""
    latency_ms: int = 0
    error: str = ""  # our code for what went wrong, e.g. http_500, timeout, malformed
    away: bool = False  # the backend itself could not answer, whatever it was asked


class Misconfigured(RuntimeError):
    """The backend refuses us (a wrong key or address): no text was judged. The message is for operators and holds no secret."""


class Backend(Protocol):
    """Judges texts. `look` answers for each text in order, within its own bound of time, and raises nothing but Misconfigured."""

    name: str

    def look(self, texts: Sequence[str]) -> list[Opinion]: ...


def configured() -> Backend | None:
    """The backend that AGON_MODERATION_BACKEND names; None when there is none and only moderators pass."""
    if settings.MODERATION_BACKEND == "openai":
        from arena.moderation.backends.openai import OpenAIModeration

        return OpenAIModeration.from_settings()
    return None
