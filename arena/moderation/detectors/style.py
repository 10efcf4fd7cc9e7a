"""How a text is dressed: length and Markdown marks, counted as FastChat's style control and the public ranking data count them.

Characters and words are those of the whole text; headings, list items and bold spans are counted outside fenced code; `fences`
are the blocks of fenced code.
"""

import re
from typing import NamedTuple

from arena.moderation.detectors.fences import lines

HEADER = re.compile(r"#{1,6}(?:\s|$)")
ITEM = re.compile(r"\s*(?:\d+\.|[-*+])\s")
BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


class Style(NamedTuple):
    """Counts; `words` are separated by white space."""

    chars: int
    words: int
    headers: int
    lists: int
    bold: int
    fences: int


def style(text: str) -> Style:
    headers = lists = bold = fences = 0
    for line, fenced in lines(text):
        if fenced:
            fences = fenced
            continue
        headers += HEADER.match(line) is not None
        lists += ITEM.match(line) is not None
        bold += sum(1 for _ in BOLD.finditer(line))
    return Style(len(text), len(text.split()), headers, lists, bold, fences)
