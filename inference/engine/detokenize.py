"""Token ids to text as they come: never half a character, never half a stop string.

Tests: tests/inference/engine/test_detokenize.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"
MAX_HELD = 16  # tokens without one whole character: the model writes no UTF-8, so show what there is

Decode = Callable[[Sequence[int]], str]


class Detokenizer:
    """Incremental text of one sequence.

    A small window of ids is decoded again with each push, since a token's text depends on the one before it. What ends
    in the middle of a UTF-8 character (the decoder shows U+FFFD) is held until the next ids complete it.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._shown = 0  # characters of the window's text that are out already
        self._held = 0  # ids pushed since text last came of them

    def push(self, ids: Sequence[int]) -> str:
        """Text that `ids` complete."""
        if not ids:
            return ""
        self._window += ids
        self._held += len(ids)
        text = self._decode(self._window)
        whole = text.rstrip(REPLACEMENT)
        if whole == text:
            piece = text[self._shown :]
            self._restart(ids)
            return piece
        piece = whole[self._shown :]
        if piece:
            self._shown, self._held = len(whole), 0
        return self.flush() if self._held > MAX_HELD else piece

    def flush(self) -> str:
        """All that is held, with U+FFFD for what is no character; the end of the text."""
        piece = self._decode(self._window)[self._shown :] if self._window else ""
        self._window, self._shown, self._held = [], 0, 0
        return piece

    def _restart(self, context: Sequence[int]) -> None:
        """The window's text is whole: keep only the newest ids, as context for the next ones."""
        self._window = list(context[-4:])
        self._shown = len(self._decode(self._window))
        self._held = 0


class StopStrings:
    """Cuts a text at the first stop string, also one that spans several pushes; the stop string is never shown."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """(text that may be shown, whether a stop string was reached)."""
        if not self._stops:
            return text, False
        text = self._held + text
        # The one that ends first: what is shown must not depend on how many characters came at once.
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self._held = ""
            return text[: min(found)[1]], True
        keep = self._possible_start(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def flush(self) -> str:
        """What was held back for a stop string that never came."""
        held, self._held = self._held, ""
        return held

    def _possible_start(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-size:]
            if any(stop.startswith(tail) for stop in self._stops):
                return size
        return 0
