"""Cuts a stream of lines into top-level blocks, so that each is parsed once, when it closes, and never again.

A cut is made only where CommonMark lets no later line reach back: after a blank line outside a fence or list, around
headings, rules, fences and formulas. A list stays one block until a line that cannot belong to it. The decision needs the
open block's kind and the current line only: O(1) state, each line looked at once (twice where it begins a new block).
"""

from enum import Enum

from arena.markdown import lines


class Kind(Enum):
    NONE = "nothing open"
    FLOW = "paragraph, table or quote"
    LIST = "list"
    CODE = "indented code"
    FENCE = "fenced code"
    MATH = "display formula"


class BlockSplitter:
    """Feed it complete lines (without their newline); it returns the blocks that they close, as source text."""

    def __init__(self) -> None:
        self.kind = Kind.NONE
        self.open: list[str] = []
        self._blank = False  # a blank line is pending inside a list
        self._offset = 0  # content column of the newest item of the open list
        self._closer = ""  # what ends the open fence or formula

    def take(self, line: str) -> list[str]:
        """Blocks closed by `line`, in order; it may belong to one of them or begin the next."""
        if self.kind is Kind.FENCE:
            return self._grow(line, lines.closes_fence(line, self._closer))
        if not line.strip(" \t"):
            return self._take_blank()
        if self.kind is Kind.MATH:
            return self._grow(line, lines.closes_math(line, self._closer, first=False))
        if self._underlines(line):
            return self._grow(line, True)
        if self._begins_block(line):
            return [*self.close(), *self._begin(line)]
        self._blank = False
        return self._grow(line, False)

    def close(self) -> list[str]:
        """The open block, as if the text ended here."""
        closed = ["\n".join(self.open)] if self.open else []
        self.kind, self.open, self._blank, self._offset, self._closer = Kind.NONE, [], False, 0, ""
        return closed

    def cut(self) -> list[str]:
        """Close the open block because it is too long; a fence goes on as a fence of the same language."""
        fence = (self.open[0], self._closer) if self.kind is Kind.FENCE else None
        closed = self.close()
        if fence:
            self.kind, self.open, self._closer = Kind.FENCE, [fence[0]], fence[1]
        return closed

    def _grow(self, line: str, last: bool) -> list[str]:
        self.open.append(line)
        return self.close() if last else []

    def _take_blank(self) -> list[str]:
        if self.kind in (Kind.LIST, Kind.CODE):
            self._blank = True
            self.open.append("")
            return []
        return self.close()

    def _underlines(self, line: str) -> bool:
        return self.kind is Kind.FLOW and lines.UNDERLINE.match(line) is not None

    def _begins_block(self, line: str) -> bool:
        """Whether this non-blank line starts a new top-level block rather than continuing the open one."""
        column = lines.indent(line)
        if self.kind is Kind.NONE:
            return True
        if self.kind is Kind.CODE:
            return column < 4
        if column >= (self._offset if self.kind is Kind.LIST else 4) or column > 3:
            return False
        if self._interrupts(line):
            return True
        marker = lines.item(line)
        if self.kind is Kind.LIST:
            self._offset = marker.offset if marker else self._offset
            return self._blank and marker is None
        return marker is not None and marker.interrupts

    @staticmethod
    def _interrupts(line: str) -> bool:
        return bool(lines.HEADING.match(line) or lines.RULE.match(line) or lines.fence(line) or lines.opens_math(line))

    def _begin(self, line: str) -> list[str]:
        self.open = [line]
        if lines.indent(line) >= 4:
            self.kind = Kind.CODE
        elif lines.HEADING.match(line) or lines.RULE.match(line):
            return self.close()
        elif fence := lines.fence(line):
            self.kind, self._closer = Kind.FENCE, fence
        elif closer := lines.opens_math(line):
            self.kind, self._closer = Kind.MATH, closer
            return self.close() if lines.closes_math(line, closer, first=True) else []
        elif marker := lines.item(line):
            self.kind, self._offset = Kind.LIST, marker.offset
        else:
            self.kind = Kind.FLOW
        return []
