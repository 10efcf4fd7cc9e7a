"""What one line of Markdown can begin or end at the top level. Rules of CommonMark 0.31, one regular expression each."""

import re
from typing import NamedTuple

HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(?:(`{3,})[^`]*|(~{3,}).*)$")
MATH = re.compile(r" {0,3}(\$\$|\\\[)")
ITEM = re.compile(r"( {0,3})([-+*]|\d{1,9}[.)])(?=[ \t]|$)([ \t]*)(.?)")
CLOSER = {"$$": "$$", "\\[": "\\]"}


class Item(NamedTuple):
    """A list marker: the column its content starts in, and whether it may interrupt a paragraph."""

    offset: int
    interrupts: bool


def indent(line: str) -> int:
    """Width of the leading white space in columns, tab stops every 4."""
    column = 0
    for char in line:
        if char == " ":
            column += 1
        elif char == "\t":
            column += 4 - column % 4
        else:
            break
    return column


def item(line: str) -> Item | None:
    """The list marker that `line` begins with, if any."""
    match = ITEM.match(line)
    if match is None:
        return None
    before, marker, _gap, first = match.groups()
    start = len(before) + len(marker)
    content = start + 1
    if first:
        width = indent(" " * start + line[start:]) - start
        content = start + (width if width <= 4 else 1)
    return Item(content, bool(first) and marker in ("-", "+", "*", "1.", "1)"))


def fence(line: str) -> str:
    """The run of backticks or tildes that opens a fence on this line, or nothing."""
    match = FENCE.match(line)
    return (match[1] or match[2]) if match else ""


def closes_fence(line: str, opener: str) -> bool:
    """Whether `line` is a closing fence for `opener`: same character, at least as many, nothing else."""
    bare = line.strip(" \t")
    return len(bare) >= len(opener) and not bare.strip(opener[0]) and indent(line) < 4


def opens_math(line: str) -> str:
    """The closing delimiter of the display formula that this line opens, or nothing.

    A formula is a block when the line begins with `$$` or `\\[` and either ends with the closer or does not hold it at all.
    """
    match = MATH.match(line)
    if match is None:
        return ""
    closer = CLOSER[match[1]]
    rest = line[match.end() :].rstrip()
    at = rest.find(closer)
    return closer if at < 0 or at == len(rest) - len(closer) else ""


def closes_math(line: str, closer: str, first: bool) -> bool:
    """Whether a formula ends with this line; on its `first` line the opener itself does not count."""
    text = line.strip()
    return text.endswith(closer) and (not first or len(text) >= 4)
