"""The stream of blocks: text in any pieces in, finished HTML blocks out, plus the raw text that is still open.

By construction the blocks joined are `render` of the whole text for every way of cutting the text up: lines are looked at
only when complete, and `render` is defined as this same stream fed at once. Reference links resolve to definitions in
earlier blocks or the same one. CPU per character is constant: a block is parsed once, when it closes.
"""

import re

from arena.markdown.blocks import BlockSplitter
from arena.markdown.html import Renderer

MAX_TEXT = 400_000  # characters of one text; the rest is dropped, visibly
MAX_BLOCK = 12_000  # characters parsed at once; a longer block is cut in two, so that no parse holds up the others
MAX_LINE = 12_000
SURROGATES = re.compile("[\ud800-\udfff]")


def whole_characters(text: str) -> str:
    """`text` with surrogate pairs joined and lone halves replaced, so that it can be encoded."""
    if text.isascii() or SURROGATES.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class BlockStream:
    """Incremental renderer of one text. `feed` any pieces, read `tail`, call `finish` once."""

    def __init__(self) -> None:
        self._splitter = BlockSplitter()
        self._renderer = Renderer()
        self._partial = ""  # the line that has no newline yet
        self._room = MAX_TEXT
        self._held = 0  # characters of the open block
        self._lines: str | None = ""  # its complete lines joined; None when they have changed since

    def feed(self, text: str) -> list[str]:
        """HTML of the top-level blocks that `text` closed, oldest first. Text beyond MAX_TEXT is dropped, and said so."""
        text = text[: self._room]
        self._room -= len(text)
        *complete, self._partial = (self._partial + text).split("\n")
        html = [block for line in complete for block in self._line(line)]
        while len(self._partial) > MAX_LINE:
            head, self._partial = self._partial[:MAX_LINE], self._partial[MAX_LINE:]
            html += self._line(head)
        return html

    def lengthen(self, text: str) -> bool:
        """Take `text` if all it does is to make the open line longer: the tail grows by it, no block closes. Else False."""
        plain = "\n" not in text and (text.isascii() or SURROGATES.search(text) is None)
        if not plain or len(text) > self._room or len(self._partial) + len(text) > MAX_LINE:
            return False
        self._room -= len(text)
        self._partial += text
        return True

    @property
    def tail(self) -> str:
        """The raw text of the open block: show it as text, never as HTML."""
        if self._lines is None:
            self._lines = "".join(f"{line}\n" for line in self._splitter.open)
        return self._lines + whole_characters(self._partial)

    def finish(self) -> str:
        """HTML of what is still open. The stream is then at its end."""
        html = self._line(self._partial) if self._partial else []
        html += self._render(self._splitter.close())
        self._partial, self._held, self._lines = "", 0, ""
        if self._room == 0:
            html.append('<p class="cut">…</p>\n')
        return "".join(html)

    def _line(self, line: str) -> list[str]:
        """One complete line; overlong ones arrive in pieces of MAX_LINE characters."""
        if len(line) > MAX_LINE:
            return [html for at in range(0, len(line), MAX_LINE) for html in self._line(line[at : at + MAX_LINE])]
        self._lines = None
        line = whole_characters(line.rstrip("\r").replace("\r", " "))
        closed = self._splitter.cut() if self._held + len(line) > MAX_BLOCK else []
        closed += self._splitter.take(line)
        self._held = len(line) + 1 + (0 if closed else self._held) if self._splitter.open else 0
        return self._render(closed)

    def _render(self, blocks: list[str]) -> list[str]:
        return [html for block in blocks if (html := self._renderer.block(block))]


def render(text: str) -> str:
    """Safe HTML of a whole text."""
    stream = BlockStream()
    return "".join(stream.feed(text)) + stream.finish()
