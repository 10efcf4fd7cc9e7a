"""What a reader has recorded of one event stream, told event by event with the time at which it arrived."""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from arena.markdown import render
from tests.stub import prose

STAMP = re.compile(r"t(\d+\.\d{6})s(\d+)")


@dataclass
class Recording:
    """Bytes as they came: `ends[i]` is how many had come at `times[i]`."""

    pieces: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    size: int = 0

    def add(self, piece: bytes, now: float) -> None:
        self.size += len(piece)
        self.pieces.append(piece)
        self.ends.append(self.size)
        self.times.append(now)

    def events(self) -> Iterator[tuple[float, str, str, dict]]:
        """(time of arrival, id, name, data) of every event; raises ValueError for a response that is no chunked stream."""
        raw = b"".join(self.pieces)
        at = raw.index(b"\r\n\r\n") + 4
        body = b""
        while at < len(raw):
            size, _, _ = raw[at : at + 20].partition(b"\r\n")
            begin = at + len(size) + 2
            at = begin + int(size, 16) + 2
            body += raw[begin : at - 2]
            *whole, body = body.split(b"\n\n")
            now = self.times[min(bisect_left(self.ends, at), len(self.times) - 1)]
            for event in whole:
                fields = dict(line.split(": ", 1) for line in event.decode().split("\n") if line[:1] != ":")
                if "event" in fields:
                    yield now, fields.get("id", ""), fields["event"], json.loads(fields["data"])


@dataclass
class Facts:
    """One turn as its reader saw it."""

    ids: list[str] = field(default_factory=list)
    frames: dict[str, list[float]] = field(default_factory=lambda: {"a": [], "b": []})
    html: dict[str, str] = field(default_factory=lambda: {"a": "", "b": ""})
    tail: dict[str, str] = field(default_factory=lambda: {"a": "", "b": ""})
    first_end: float = 0.0
    ended: bool = False

    @classmethod
    def of(cls, recording: Recording) -> "Facts":
        facts = cls()
        for now, entry, name, data in recording.events():
            facts.ids.append(entry)
            if name == "frame":
                facts._frame(now, data)
            elif name == "reset":
                facts.html[data["side"]] = facts.tail[data["side"]] = ""
            elif name == "side":
                facts.first_end = facts.first_end or now
            facts.ended = facts.ended or name == "done"
        return facts

    def _frame(self, now: float, sides: dict[str, dict]) -> None:
        for side, part in sides.items():
            self.frames[side].append(now)
            self.html[side] += "".join(part.get("blocks", ()))
            self.tail[side] = part["tail"] if "tail" in part else self.tail[side] + part["add"]

    @property
    def begun(self) -> float:
        """When the later side's first frame came."""
        return max(times[0] for times in self.frames.values())

    @property
    def overhead_s(self) -> float:
        """The first frame after the later side's first engine token; the stub wrote its clock into that token."""
        return self.begun - max(float(self._stamp(side)[1]) for side in "ab")

    def _stamp(self, side: str) -> re.Match[str]:
        stamp = STAMP.search(self.html[side] + self.tail[side])
        assert stamp, f"side {side} has no stamp"
        return stamp

    def equal(self, words: int) -> bool:
        """Whether both sides show, to the letter, what the stub has sent."""
        return self.ended and all(self._shown(side) == self._sent(side, words) for side in "ab")

    def _shown(self, side: str) -> str:
        return self.html[side] + self.tail[side]

    def _sent(self, side: str, words: int) -> str:
        stamp = self._stamp(side)
        return render(" ".join([stamp[0], *prose.words(int(stamp[2]), words - 1), ""]))

    @property
    def reordered(self) -> int:
        """Events whose id is below that of the event before. (A turn told from PostgreSQL repeats its last id.)"""
        ids = [tuple(map(int, entry.split("-"))) for entry in self.ids]
        return sum(later < earlier for earlier, later in zip(ids, ids[1:], strict=False))

    def rate(self, begin: float, end: float) -> float:
        """Frames per second of the side that has fewer, between two moments."""
        return min(sum(begin <= now < end for now in times) for times in self.frames.values()) / (end - begin)
