"""Markdown that looks like answers: headings, paragraphs, lists, code. Seeded, so that a reader can say what was sent."""

from __future__ import annotations

import random
from functools import lru_cache

TEXTS = 64  # different answers; a seed picks one of them
NOUNS = ("rope", "knot", "river", "engine", "lemon", "window", "battle", "ledger", "cloud", "garden", "signal", "paper")
VERBS = ("holds", "carries", "needs", "shows", "follows", "leaves", "draws", "keeps", "turns", "meets")
FILLERS = (
    "the",
    "a",
    "this",
    "every",
    "one",
    "some",
    "in",
    "of",
    "with",
    "for",
    "and",
    "then",
    "about",
    "12",
    "µm",
    "naïve",
)
CODE = "```python\ndef {0}({1}):\n    total = {2} + len({1})  # {3}\n    return total\n```"


def number(seed: int) -> int:
    """Which of the texts a request's seed gets."""
    return seed % TEXTS


@lru_cache(maxsize=2 * TEXTS)
def words(which: int, count: int) -> tuple[str, ...]:
    """`count` words, to be joined by spaces; line breaks are inside of words."""
    pick = random.Random(which)
    text: list[str] = []
    while len(text) < count:
        text += _section(pick)
    return tuple(text[:count])


def _section(pick: random.Random) -> list[str]:
    noun = pick.choice(NOUNS)
    parts = [f"## The {noun}", _sentence(pick, 40), f"**Mind the {noun}.** {_sentence(pick, 30)} See `{noun}_2`."]
    if pick.random() < 0.7:
        parts.append("\n".join(f"- {_sentence(pick, 7)}" for _ in range(4)))
    if pick.random() < 0.5:
        parts.append(CODE.format(noun, pick.choice(NOUNS), pick.randrange(90), pick.choice(VERBS)))
    return ("\n\n".join(parts) + "\n\n").split(" ")


def _sentence(pick: random.Random, length: int) -> str:
    said = [pick.choice(pick.choice((NOUNS, VERBS, FILLERS, FILLERS))) for _ in range(length)]
    return " ".join(said).capitalize() + "."
