"""Server-sent events read incrementally (WHATWG HTML, section 9.2.6), bounded and with as little work per byte as it takes."""

from __future__ import annotations

from typing import NamedTuple

COMMENT = ":"


class SseBroken(ValueError):
    """The bytes are no event stream within the bounds; the message says which rule broke, never what the bytes were."""


class SseItem(NamedTuple):
    """An event (`name` is its type, "" where none was given) or a comment (`name` is COMMENT)."""

    name: str
    text: str


class SseParser:
    """Feed bytes in any chunking, get events and comments. `max_line` and `max_event` are bytes."""

    def __init__(self, max_line: int = 1 << 20, max_event: int = 2 << 20) -> None:
        self.max_line, self.max_event = max_line, max_event
        self._pieces: list[bytes] = []  # the open line
        self._open = 0
        self._data: list[str] = []  # the open event
        self._size = 0
        self._name = ""
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[SseItem]:
        """Everything that `chunk` completes. Raises SseBroken."""
        if (item := self._whole(chunk)) is not None:
            return [item]
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        items: list[SseItem] = []
        if lines and self._pieces:
            self._grow(len(lines[0]))
            lines[0] = b"".join([*self._pieces, lines[0]])
            self._pieces.clear()
        for line in lines:
            self._open = 0
            self._line(line, items)
        if rest:
            self._grow(len(rest))
            self._pieces.append(rest)
        return items

    def _whole(self, chunk: bytes) -> SseItem | None:
        """The event, when `chunk` is exactly one of a single data line and nothing is open: what engines send nearly always."""
        if not (chunk.startswith(b"data: ") and chunk.find(b"\n") == len(chunk) - 2 and chunk.endswith(b"\n\n")):
            return None
        if (
            self._pieces
            or self._data
            or self._name
            or self._after_cr
            or b"\r" in chunk
            or len(chunk) > min(self.max_line, self.max_event)
        ):
            return None
        self._first = False
        try:
            return SseItem("", chunk[6:-2].decode())
        except UnicodeDecodeError:
            raise SseBroken("a line is not UTF-8") from None

    def _grow(self, n: int) -> None:
        self._open += n
        if self._open > self.max_line:
            raise SseBroken(f"a line is longer than {self.max_line} bytes")

    def _line(self, raw: bytes, items: list[SseItem]) -> None:
        if len(raw) > self.max_line:
            raise SseBroken(f"a line is longer than {self.max_line} bytes")
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise SseBroken("a line is not UTF-8") from None
        if self._first:
            self._first, line = False, line.removeprefix("\ufeff")
        if not line:
            self._dispatch(items)
        elif line[0] == COMMENT:
            items.append(SseItem(COMMENT, line[1:].strip()))
        else:
            self._field(line, len(raw))

    def _field(self, line: str, size: int) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._size += size
            if self._size > self.max_event:
                raise SseBroken(f"an event is longer than {self.max_event} bytes")
            self._data.append(value)
        elif name == "event":
            self._name = value

    def _dispatch(self, items: list[SseItem]) -> None:
        if self._data:
            items.append(SseItem(self._name, "\n".join(self._data)))
        self._data, self._size, self._name = [], 0, ""
