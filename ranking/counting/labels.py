"""The categories and the style of a vote, from what detectors found in its messages: a function of measures, without a text.

| category | the vote is in it when |
|---|---|
| a language | most characters of the prompts, among those of a known language, are of it |
| `long_prompt`, `short_prompt` | the prompts together have at least LONG_PROMPT_CHARS, at most SHORT_PROMPT_CHARS characters |
| `multi_turn` | the vote was cast after two turns or more |
| `code` | a prompt has a block of fenced code, or the answers of both sides have one |

One side's fences decide nothing: else a model that likes fences would choose the votes of the board of code. Messages after the
vote are not looked at. The style of a side is the sum over its answers: characters of the whole text (code included, as FastChat
counts tokens), headings, list items and bold spans outside fenced code.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ranking import categories

VERSION = "1"  # of these rules: a new number labels every vote anew


class Heard(NamedTuple):
    """One message before the vote, as detectors measured it. `side`: a or b, whose conversation it is in."""

    side: str
    prompt: bool
    language: str = "und"
    chars: int = 0
    headers: int = 0
    lists: int = 0
    bold: int = 0
    fences: int = 0


class Bounds(NamedTuple):
    """Characters of all prompts together, both ends included."""

    long: int
    short: int


def of_vote(heard: Sequence[Heard], bounds: Bounds) -> list[str]:
    """Names of ranking/categories.py, sorted. Prompts stand in both conversations: those of side A are read."""
    prompts = [one for one in heard if one.prompt and one.side == "a"]
    chars, found = sum(one.chars for one in prompts), {_language(prompts)} - {""}
    if chars >= bounds.long:
        found.add("long_prompt")
    if chars <= bounds.short:
        found.add("short_prompt")
    if len(prompts) > 1:
        found.add("multi_turn")
    fenced = {one.side for one in heard if not one.prompt and one.fences}
    if any(one.fences for one in prompts) or fenced == {"a", "b"}:
        found.add("code")
    return sorted(found)


def _language(prompts: Sequence[Heard]) -> str:
    said: Counter[str] = Counter()
    for one in prompts:
        if one.language != "und":
            said[one.language] += one.chars
    most = max(said, key=lambda code: (said[code], code), default="")
    return categories.of_language(most)


def style(heard: Sequence[Heard]) -> dict[str, int]:
    """Columns of VoteStyle."""
    totals = {}
    for side in ("a", "b"):
        answers = [one for one in heard if not one.prompt and one.side == side]
        totals[f"length_{side}"] = sum(one.chars for one in answers)
        for name in ("headers", "lists", "bold"):
            totals[f"{name}_{side}"] = sum(getattr(one, name) for one in answers)
    return totals
