"""Phone numbers, through libphonenumber's tables.

Without a word that says so, a number counts when it is written internationally, or as people write numbers in a country where
that form is unmistakable. Behind such a word every number that is valid in one of the REGIONS counts.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from arena.moderation.detectors.pii.normal import NO_LETTER_AFTER, NO_LETTER_BEFORE, Found, cued

DATA: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
MOST = 300  # different candidates of one text that are looked up; the rest of the text is then unchecked
CANDIDATE = re.compile(
    r"(?<![A-Za-z0-9_.+\-/(\\])(?:\+ ?|00 ?(?=[1-9]))?(?:\(\+?\d{1,5}\)|\d)(?:[ .\-/]{0,2}(?:\(\d{1,5}\)|\d)){6,16}"
    r"(?![A-Za-z0-9_\-/\\%°$€£]|[.,]\d)"
)
CUES = re.compile(
    f"{NO_LETTER_BEFORE}(?:{'|'.join(DATA['words'])}){NO_LETTER_AFTER}|{'|'.join(DATA['signs'])}", re.IGNORECASE
)
NATIONAL = [(re.compile(entry["form"]), tuple(entry["regions"])) for entry in DATA["forms"]]
REGIONS: tuple[str, ...] = tuple(DATA["regions"])
CHINESE = re.compile(r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}")
HAN = re.compile("[\u4e00-\u9fff]")


def find(text: str) -> Iterator[Found]:
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for match in CANDIDATE.finditer(text):
        written = match[0].strip(" .-/")
        regions = _regions(text, match.start(), written)
        if regions is None:
            continue
        seen.add((written, regions))
        if len(seen) > MOST:
            yield Found("unchecked", match.start(), len(text))
            return
        if _valid(written, regions):
            yield Found("phone", match.start(), match.start() + len(match[0].rstrip(" .-/")))


def _regions(text: str, start: int, written: str) -> tuple[str, ...] | None:
    """In which countries to look the number up; () for its own country code, None when it is not worth a look."""
    digits = sum(map(str.isdigit, written))
    if not 7 <= digits <= 15:
        return None
    if written.startswith(("+", "(+")):
        return ()
    cue = cued(text, start, CUES, 32)
    if written.startswith("00"):
        return () if cue or not written.isdigit() else None
    if cue:
        return REGIONS
    if CHINESE.fullmatch(written) and HAN.search(text, max(0, start - 20), start + 40):
        return ("CN",)
    return next((regions for form, regions in NATIONAL if form.fullmatch(written)), None)


@lru_cache(maxsize=4096)
def _valid(written: str, regions: tuple[str, ...]) -> bool:
    import phonenumbers

    if written.startswith("00"):
        written = "+" + written[2:].lstrip()
    for region in regions or (None,):
        try:
            number = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False
