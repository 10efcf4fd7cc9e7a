"""Did an answer say who wrote it? Word-bound matches after folding, in the assistant's text only.

A mark costs a vote its place in the ranking, never the battle: so talk about "Google" or "palms" must not count, and a
contestant that says its name, its maker or its family must, in any of ten languages and however it is spelled. Three signs:

1. a contestant's own distinctive name (letters with a number, like `GPT-4o`, or several words) anywhere in the answer;
2. an introduction followed by a name: "I am X", "je m'appelle X", "我是X"; after an article only with a kind ("I am a X model");
3. a maker in a sentence about the speaker: "I was trained by X", "as a language model developed by X".

Names in 2 and 3 are those of both contestants, their organisations and well-known families (identity.toml).
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from arena.moderation.detectors.folding import WORD, fold, words
from arena.moderation.detectors.terms import TermSet

DATA: dict[str, list[str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
MAX_CHARS = 100_000  # of an answer that are looked at
SENTENCE = re.compile(r"[.!?。！？]+(?=\s|$)|[。！？]+|\n\s*\n")
END = "\0"  # of a sentence, while all of them are folded at once: no letter, and folding leaves it
MAX_FILLERS = 4
MAKER_REACH = 14
NAME, DISTINCT, INTRODUCTION, MAKER, SPEAKER = range(5)


def _folded(phrases: Iterable[str]) -> list[str]:
    return [" ".join(words(phrase)) for phrase in phrases]


ARTICLES, KINDS = frozenset(_folded(DATA["articles"])), frozenset(_folded(DATA["kinds"]))
FILLERS = ARTICLES | frozenset(_folded(DATA["fillers"]))
UNSPACED = tuple(tuple("".join(words(part)) for part in pattern.split("{}")) for pattern in DATA["unspaced"])


class Names(NamedTuple):
    """The names that give a battle away: as terms, and joined for languages without spaces."""

    terms: TermSet
    joined: tuple[str, ...]


def reveals_identity(text: str, names: Iterable[str]) -> bool:
    """Whether an answer tells who wrote it. `names`: of both contestants, their codenames, organisations and models."""
    known = _compile(tuple(sorted({name for name in names if name.strip()})))
    sentences = [WORD.findall(sentence) for sentence in fold(SENTENCE.sub(END, text[:MAX_CHARS])).split(END)]
    if any(_sentence_reveals(spoken, known.terms) for spoken in sentences):
        return True
    joined = "".join(chain.from_iterable(sentences))
    return any(_stands_in(joined, before, after, known.joined) for before, after in UNSPACED)


def _sentence_reveals(spoken: Sequence[str], terms: TermSet) -> bool:
    spans = terms.find(spoken)
    if any(span.group == DISTINCT for span in spans):
        return True
    named = {span.start: span.end for span in spans if span.group == NAME}
    if not named:
        return False
    speaks = [span.start for span in spans if span.group == SPEAKER]
    return any(
        (span.group == INTRODUCTION and _introduces(spoken, span.end, named))
        or (span.group == MAKER and _made_by(spoken, span.end, named) and _near(speaks, span.start))
        for span in spans
    )


def _introduces(spoken: Sequence[str], start: int, named: dict[int, int]) -> bool:
    """Whether a name follows at `start`, past fillers; after an article it must be followed by a kind of thing."""
    article = False
    for at in range(start, min(start + MAX_FILLERS + 1, len(spoken))):
        if at in named:
            return not article or (named[at] < len(spoken) and spoken[named[at]] in KINDS)
        if spoken[at] not in FILLERS:
            return False
        article = spoken[at] in ARTICLES
    return False


def _made_by(spoken: Sequence[str], start: int, named: dict[int, int]) -> bool:
    """Whether a name follows a maker phrase at once, or after one article or word such as "the company"."""
    return any(at in named for at in range(start, min(start + 3, len(spoken))))


def _stands_in(joined: str, before: str, after: str, names: tuple[str, ...]) -> bool:
    """Whether one of `names` stands in `joined` between `before` and `after` (either may be empty, not both)."""
    anchor = before or after
    at = joined.find(anchor)
    while at >= 0:
        if not before and joined.endswith(names, 0, at):
            return True
        start = at + len(before)
        if before and joined.startswith(names, start):
            ends = (start + len(name) for name in names if joined.startswith(name, start))
            if any(joined.startswith(after, end) for end in ends):
                return True
        at = joined.find(anchor, at + 1)
    return False


def _near(speaks: list[int], start: int) -> bool:
    return any(0 <= start - at <= MAKER_REACH for at in speaks)


@lru_cache(maxsize=256)
def _compile(names: tuple[str, ...]) -> Names:
    own = {" ".join(spoken) for name in names if (spoken := words(name))}
    everyone = own | {head for name in own if (head := _head(name))} | set(_folded(DATA["families"]))
    distinct = {name for name in own if _is_distinct(name)}
    lists = (DATA["introductions"], DATA["makers"], DATA["speaker"])
    groups = [_short(everyone), _short(distinct), *(_folded(phrases) for phrases in lists)]
    return Names(TermSet(groups), tuple(sorted(name.replace(" ", "") for name in everyone)))


def _short(names: Iterable[str]) -> list[str]:
    """Names as terms; of a very long one its first words."""
    return [" ".join(name.split()[:6]) for name in names]


def _head(name: str) -> str:
    """The family in a name: its letters before the first number (`llama 3 1 8b` -> `llama`, `smollm2` -> `smollm`)."""
    head = re.split(r"\d", name, maxsplit=1)[0].strip()
    return head if len(head) >= 3 and head != name else ""


def _is_distinct(name: str) -> bool:
    """Whether nobody writes this by chance: letters and a number, at least five characters (`gpt 4o`, `smollm2 135m`)."""
    compact = name.replace(" ", "")
    return (
        len(compact) >= 5 and any(char.isdigit() for char in compact) and sum(char.isalpha() for char in compact) >= 3
    )
