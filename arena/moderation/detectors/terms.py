"""Finds terms (phrases of folded words) in a list of words, and groups of terms that stand near each other.

A term is written as words separated by spaces; a word ending in `*` matches every word that begins so. No regular
expressions over the text: one pass over the words, a few dictionary look-ups for each, whatever the text is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from arena.moderation.detectors.folding import fold

MAX_PHRASE = 8


class Span(NamedTuple):
    """Where a term of group `group` was found: words [start, end)."""

    start: int
    end: int
    group: int


Phrase = tuple[str, ...]


class TermSet:
    """Groups of terms, compiled to be found in one pass. A term may be in several groups."""

    def __init__(self, groups: Sequence[Iterable[str]], spell: Callable[[str], str] = fold) -> None:
        """`spell` brings a word to the spelling of the words that will be searched."""
        self._whole: dict[str, dict[Phrase, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._prefix: dict[str, dict[Phrase, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, group in enumerate(groups):
            for term in group:
                self._add(term, number, spell)
        self._lengths = sorted({len(prefix) for prefix in self._prefix})

    def _add(self, term: str, group: int, spell: Callable[[str], str]) -> None:
        phrase = tuple(spell(word.rstrip("*")) + ("*" if word.endswith("*") else "") for word in term.split())
        if not phrase or len(phrase) > MAX_PHRASE or any(not word.rstrip("*") for word in phrase):
            raise ValueError(f"not a term: {term!r} (1 to {MAX_PHRASE} words)")
        index = self._prefix if phrase[0].endswith("*") else self._whole
        index[phrase[0].rstrip("*")][phrase].append(group)

    def find(self, words: Sequence[str]) -> list[Span]:
        """Every occurrence of every term, in the order of its start."""
        found: list[Span] = []
        for start, word in enumerate(words):
            for phrase, groups in self._beginning_with(word):
                if len(phrase) == 1 or _continues(phrase, words, start):
                    found += [Span(start, start + len(phrase), group) for group in groups]
        return found

    def _beginning_with(self, word: str) -> Iterator[tuple[Phrase, list[int]]]:
        if word in self._whole:
            yield from self._whole[word].items()
        for length in self._lengths:
            if length > len(word):
                return
            if word[:length] in self._prefix:
                yield from self._prefix[word[:length]].items()


def _continues(phrase: Phrase, words: Sequence[str], start: int) -> bool:
    """Whether the words after the first are the rest of the phrase."""
    if start + len(phrase) > len(words):
        return False
    return all(
        words[start + at].startswith(wanted[:-1]) if wanted.endswith("*") else words[start + at] == wanted
        for at, wanted in enumerate(phrase[1:], 1)
    )


def near(spans: Iterable[Span], groups: int, within: int) -> bool:
    """Whether one term of each of the `groups` stands within `within` words, first to last. `spans` in order of start."""
    latest = [-1] * groups  # start of the newest occurrence of each group
    for span in spans:
        latest[span.group] = span.start
        if min(latest) >= 0 and span.start - min(latest) < within:
            return True
    return False
