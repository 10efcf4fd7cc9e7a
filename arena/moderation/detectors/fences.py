"""What of a Markdown text stands outside fenced code, line by line. Linear time."""

import re
from collections.abc import Iterator

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def outside_fences(text: str) -> Iterator[str]:
    """The lines (without their ends) that are not fenced code. A fence that is never closed holds the rest of the text."""
    fence = ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if not fence and found:
            fence = found[1]
        elif fence:
            if found and found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
        else:
            yield line
