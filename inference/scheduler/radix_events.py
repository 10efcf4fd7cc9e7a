"""What entered and left a prefix tree, page by page, for whoever routes requests to where their prefix is.

A page is named by a hash over its key, all tokens before it and its own, so that equal pages in different places differ
and every process computes the same names (SGLang's and vLLM's KV events).
Tests: tests/inference/scheduler/test_radix_events.py.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from hashlib import blake2b

from inference.scheduler.prefix_key import PrefixKey, decode

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """A page of `tokens` is there, after the page named `parent` (None: it is the first)."""

    hash: bytes
    parent: bytes | None
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """The page named `hash` is gone."""

    hash: bytes


class EventLog:
    """The newest `limit` events that nobody has taken yet; `lost` counts older ones that had to go."""

    def __init__(self, limit: int = 10_000) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}; it must be at least 1")
        self._events: deque[Stored | Removed] = deque(maxlen=limit)
        self.lost = 0

    def stored(self, key: PrefixKey, parent: bytes | None, text: bytes, page: int) -> list[bytes]:
        """Log the pages of `text`, `page` bytes each, after the page named `parent`; their names."""
        hashes: list[bytes] = []
        for at in range(0, len(text), page):
            before = hashes[-1] if hashes else parent
            piece = text[at : at + page]
            seed = json.dumps(key).encode() if before is None else before
            hashes.append(
                blake2b(piece, digest_size=HASH_BYTES, key=blake2b(seed, digest_size=HASH_BYTES).digest()).digest()
            )
            self._add(Stored(hashes[-1], before, tuple(decode(piece))))
        return hashes

    def removed(self, hashes: list[bytes]) -> None:
        """Log that these pages are gone, the last first: a page never outlives the one before it."""
        for name in reversed(hashes):
            self._add(Removed(name))

    def take(self) -> list[Stored | Removed]:
        """The events since the last call, in order."""
        taken = list(self._events)
        self._events.clear()
        return taken

    def _add(self, event: Stored | Removed) -> None:
        self.lost += len(self._events) == self._events.maxlen
        self._events.append(event)
