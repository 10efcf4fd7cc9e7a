"""A battle as a rater sees it: what was said, on shuffled sides, and nothing else. Texts come from the gate's decision only."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.safestring import SafeString, mark_safe

from arena import markdown
from datasets.rating.drawing import Shown
from datasets.rating.labelling import swapped


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and its two answers, left and right, as safe HTML."""

    number: int
    prompt: str
    left: SafeString
    right: SafeString


def exchanges(shown: Shown, rater: User) -> list[Exchange]:
    """The turns of the battle. The conversations' model names are not looked at."""
    sides = shown.decision.conversations[::-1] if swapped(shown.item, rater) else shown.decision.conversations
    left, right = (side.messages for side in sides)
    turns = zip(left[::2], left[1::2], right[1::2], strict=True)  # prompt and answer in turn, as the gate has checked
    return [Exchange(n, asked.text, _html(one.text), _html(two.text)) for n, (asked, one, two) in enumerate(turns, 1)]


def _html(text: str) -> SafeString:
    return mark_safe(markdown.render(text))  # noqa: S308 - made safe by arena.markdown
