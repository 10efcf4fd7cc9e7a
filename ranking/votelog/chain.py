"""The hash chain of the vote log: what a line is, how lines are linked, and what is wrong with lines that are not. No Django.

A line is one JSON object in canonical form: ASCII, keys sorted, no spaces. It holds its own number (from 1) and `previous`, the
SHA-256 of the line before it, so the hash of a line is plainly that of its bytes, and `sha256sum` checks it. Whoever knows the
hash of a line (the head) can tell every change of any line before it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64  # `previous` of the first line
FORMAT = 1  # written into each publication


@dataclass(frozen=True, slots=True)
class Head:
    """The last line: its number and hash. Of an empty chain: 0 and GENESIS."""

    number: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    body: str
    hash: str


def encode(value: Any) -> str:
    """Canonical JSON. Raises ValueError for a number that JSON cannot hold (infinity, not a number)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def decode(body: str) -> dict[str, Any]:
    """The entry of a line that has been checked."""
    return dict(json.loads(body))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def link(head: Head, entries: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    """The lines that follow `head`. Raises ValueError for an entry that names `number` or `previous` itself."""
    for entry in entries:
        if entry.keys() & {"number", "previous"}:
            raise ValueError("number and previous are the chain's own")
        body = encode({**entry, "number": head.number + 1, "previous": head.hash})
        head = Head(head.number + 1, digest(body))
        yield Line(head.number, body, head.hash)


class Walk:
    """Reads lines in order; `faults` says in words what is wrong, naming the line, and stays usable after a fault."""

    def __init__(self, after: Head = Head()) -> None:
        self.head = after
        self.faults: list[str] = []

    def take(self, body: str) -> dict[str, Any] | None:
        """The entry of the next line, or None when it is no line at all. Its number is found from its place."""
        place = self.head.number + 1
        expected, self.head = self.head.hash, Head(place, digest(body))
        try:
            entry = json.loads(body)
            canonical = isinstance(entry, dict) and encode(entry) == body
        except ValueError:
            canonical = False
        if not canonical:
            self.faults.append(f"line {place}: not an entry in canonical form")
            return None
        if entry.get("number") != place:
            self.faults.append(f"line {place}: says that it is number {entry.get('number')}")
        if entry.get("previous") != expected:
            self.faults.append(f"line {place}: does not follow line {place - 1}: one of the two was changed")
        return dict(entry)

    def ends(self, head: Head) -> None:
        """Compare with the head that somebody else tells."""
        if self.head.number != head.number:
            self.faults.append(f"the log has {self.head.number} lines, and should have {head.number}")
        elif self.head.hash != head.hash:
            self.faults.append(f"line {head.number}: was changed, its hash is not that of the head")
