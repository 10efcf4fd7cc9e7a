"""JSON records out of a stream: one to a line, or the elements of one array, which is never held as a whole."""

import io
import json
from collections.abc import Iterator
from itertools import chain
from typing import TextIO

from ranking.imports.row import BadFile, Found, Problem, Record

LONGEST = 64 * 1024 * 1024  # characters of one line or element
CHUNK = 1 << 16


def either(stream: TextIO) -> Iterator[Found]:
    """An array, or lines as other tools write them into `.json` files; the first sign decides."""
    begun = stream.read(CHUNK)
    while begun.isspace() and (more := stream.read(CHUNK)):
        begun += more
    return _Array(stream, begun).elements() if begun.lstrip().startswith("[") else lines(stream, begun)


def lines(stream: TextIO, begun: str = "") -> Iterator[Found]:
    """`begun`: what has been read of the stream already. Empty lines are passed over."""
    if begun and not begun.endswith("\n"):
        begun += stream.readline(LONGEST)
    following = iter(lambda: stream.readline(LONGEST), "")
    for number, line in enumerate(chain(io.StringIO(begun, newline="\n"), following), 1):
        if len(line) >= LONGEST:
            raise BadFile([Problem(number, f"the line has more than {LONGEST} characters")])
        if line.strip():
            yield number, _object(number, line)


def _object(number: int, text: str) -> Record | Problem:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        return Problem(number, f"not JSON: {error}")
    return found if isinstance(found, dict) else Problem(number, "expected a JSON object")


class _Array:
    """A window of the text that holds the element at hand; it doubles only while an element is not complete."""

    def __init__(self, stream: TextIO, begun: str) -> None:
        self._stream, self._text, self._place, self._line = stream, begun, 0, 1
        self._decode = json.JSONDecoder().raw_decode

    def elements(self) -> Iterator[Found]:
        self._sign()
        self._place += 1  # the bracket
        if self._sign() == "]":
            self._place += 1
            return self._end()
        while True:
            yield self._element()
            sign = self._sign()
            self._place += 1
            if sign == "]":
                return self._end()
            if sign != ",":
                raise BadFile([Problem(self._line, "expected a comma or the end of the array")])

    def _sign(self) -> str:
        """The next sign that is no space; nothing is taken but the spaces before it."""
        while sign := self._text[self._place : self._place + 1] or self._more(CHUNK):
            if not sign.isspace():
                return sign[0]
            self._line += self._text[self._place] == "\n"
            self._place += 1
        raise BadFile([Problem(self._line, "the array is not closed")])

    def _element(self) -> Found:
        self._sign()
        while True:
            try:
                found, end = self._decode(self._text, self._place)
                break
            except (ValueError, RecursionError) as error:
                held = len(self._text) - self._place
                if held > LONGEST or not self._more(max(CHUNK, held)):
                    raise BadFile([Problem(self._line, f"not JSON: {error}")]) from error
        begun = self._line
        self._line += self._text.count("\n", self._place, end)
        self._place = end
        return begun, found if isinstance(found, dict) else Problem(begun, "expected a JSON object")

    def _more(self, characters: int) -> str:
        """Read on, and forget what is behind us. The first new sign; "" at the end of the file."""
        more = self._stream.read(characters)
        self._text, self._place = self._text[self._place :] + more, 0
        return more[:1]

    def _end(self) -> None:
        """Nothing but spaces may follow."""
        rest = self._text[self._place :].strip() or "".join(iter(lambda: self._stream.read(CHUNK).strip(), "")).strip()
        if rest:
            raise BadFile([Problem(self._line, "there is text after the array")])
