"""Appealing against a blocked prompt."""

from arena.models import Appeal, GateBlock
from arena.moderation import gate

MAX_TEXT = 1000


def appeal(block: GateBlock, text: str) -> Appeal:
    """One appeal per block: a second one changes nothing."""
    made, _created = Appeal.objects.get_or_create(block=block, defaults={"text": gate.clean_prompt(text)[:MAX_TEXT]})
    return made
