"""Many processes, one terminal: every line gets its process's name, coloured when a person is looking."""

import sys
import time
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95)
MAX_LINE = 8192  # a longer line is cut in two: no process may fill our memory


class Log:
    """Prefixes lines. `width` is the longest name's length."""

    def __init__(self, out: TextIO | None = None, width: int = 15) -> None:
        self.out = sys.stdout if out is None else out
        self.width = width
        self.coloured = self.out.isatty()
        self._colours: dict[str, int] = {}
        self._partial: dict[str, bytes] = {}

    def say(self, name: str, text: str) -> None:
        """One line, with the time."""
        label = f"{time.strftime('%H:%M:%S')} {name:<{self.width}} |"
        if self.coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            label = f"\x1b[{colour}m{label}\x1b[0m"
        self.plain(f"{label} {text}")

    def plain(self, text: str) -> None:
        try:
            print(text, file=self.out, flush=True)
        except (OSError, ValueError, RuntimeError):
            pass  # the terminal is gone, or a signal came within a print: the processes must still be kept and drained

    def feed(self, name: str, data: bytes) -> None:
        """Raw output of a process; an unfinished last line waits for its rest. Empty data ends the stream."""
        buffered = self._partial.pop(name, b"") + data
        *lines, rest = buffered.split(b"\n")
        if rest and (not data or len(rest) > MAX_LINE):
            lines, rest = [*lines, rest], b""
        for line in lines:
            self.say(name, line.decode(errors="replace").rstrip("\r"))
        if rest:
            self._partial[name] = rest
