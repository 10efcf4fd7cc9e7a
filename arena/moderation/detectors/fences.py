"""What of a Markdown text stands outside fenced code, line by line. Linear time."""

import re
from collections.abc import Iterator

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def outside_fences(text: str) -> Iterator[str]:
    """The lines (without their ends) that are not fenced code. A fence that is never closed holds the rest of the text."""
    return (line for line, fenced in lines(text) if not fenced)


def lines(text: str) -> Iterator[tuple[str, int]]:
    """Each line with the number of the fenced block that it is in, from 1; 0 outside. A block's fences belong to it."""
    fence, block = "", 0
    for line in text.split("\n"):
        found = FENCE.match(line)
        if not fence and found:
            fence, block = found[1], block + 1
            yield line, block
        elif fence:
            if found and found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
            yield line, block
        else:
            yield line, 0
