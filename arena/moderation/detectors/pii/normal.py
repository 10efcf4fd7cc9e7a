"""A text in one spelling of digits, signs and spaces, with the way back to the places of the original."""

import re
import unicodedata
from typing import NamedTuple

from arena.moderation.detectors.folding import INVISIBLE

HIDDEN = ("Cf", "Mn", "Me")
MINUS = "\u2212"
NO_LETTER_BEFORE, NO_LETTER_AFTER = (
    "(?<![A-Za-z\u00c0-\u04ff])",
    "(?![A-Za-z\u00c0-\u04ff])",
)  # Latin, Greek, Cyrillic: with spaces
# Numbers that say nothing about a person: replaced by as many NULs before numbers are looked for.
NO_PERSON = re.compile(
    r"(?<![\w-])[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?![\w-])"  # UUID
    r"|(?<![\w/.-])(?:https?|ftps?|wss?|ssh|git)://[!-~]+"
    r"|\bISBN(?:-?1[03])?:?[\s]{0,3}[\dX -]{9,20}|(?<![\w-])97[89][- ]\d{1,5}[- ]\d{1,7}[- ]\d{1,7}[- ]\d(?![\w-])"
    r"|\bdoi:?\s?[!-~]+|(?<!\w)10\.\d{4,9}/[!-~]+"
    r"|(?<!\d)\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:?\d{2}(?::?\d{2})?(?:[.,]\d{1,9})?)?"
    r"(?:Z|[+-]\d{2}:?\d{2})?(?!\d)"  # ISO 8601
    r"|(?<!\d)\d{1,2}[-/.]\d{1,2}[-/.]\d{4}(?!\d)(?: \d{1,2}:\d{2}(?::\d{2})?)?"
    r"|(?<!\d)\d{8}T\d{6}(?:Z|[+-]\d{4})?(?!\w)|(?<!\d)(?:19|20)\d\d ?[-–] ?(?:19|20)\d\d(?!\d)"
    r"|(?<!\w)0[xX][0-9a-fA-F]+|(?<!\w)(?![A-Z]{2}\d{2}[A-Z0-9]{11,30}(?!\w))"  # no IBAN of DE, BE, AE ...
    r"(?=[0-9a-fA-F]{0,63}[a-fA-F])(?=[0-9a-fA-F]{0,63}\d)[0-9a-fA-F]{16,128}(?!\w)"  # hashes
    r"|\d[eE][+-]?\d+|(?<!\d)\d+\.\d{5,}"  # floating point
)


class Found(NamedTuple):
    """Characters [start, end) of the normal text."""

    type: str
    start: int
    end: int


class Normal:
    """`text` without invisible characters and marks, with ASCII digits, hyphens, spaces and full-width signs made narrow."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._places: list[int] | None = None  # of each character in the original; None when nothing was changed
        if text.isascii():
            self.text = text
            return
        spelled = {char: _spelled(char) for char in set(text)}
        kept = [(spelled[char], at) for at, char in enumerate(text) if spelled[char]]
        self.text = "".join(char for char, _at in kept)
        self._places = [at for _char, at in kept]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span in the original text; invisible characters and marks behind its last character belong to it."""
        if self._places is None:
            return start, end
        return self._places[start], self._places[end] if end < len(self._places) else self._length


def _spelled(char: str) -> str:
    """One character, or nothing for what a reader does not see."""
    category = unicodedata.category(char)
    if category in HIDDEN or char in INVISIBLE:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if "\uff01" <= char <= "\uff5e":
        return chr(ord(char) - 0xFEE0)
    if category == "Pd" or char == MINUS:
        return "-"
    return " " if category == "Zs" else char


def masked(text: str) -> str:
    """`text` of the same length without what looks like a personal number and is none."""
    return NO_PERSON.sub(lambda found: "\0" * len(found[0]), text)


def cued(text: str, start: int, cues: re.Pattern[str], reach: int = 40) -> bool:
    """Whether one of the `cues` stands in the `reach` characters before `start`."""
    return cues.search(text, max(0, start - reach), start) is not None
