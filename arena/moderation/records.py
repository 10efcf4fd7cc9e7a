"""The rules' word on a message, as a record: what they match is flagged, the rest is pending. Rules never pass anything."""

from arena.models import Message, ModerationRecord
from arena.models.moderation import Standing
from arena.moderation.verdicts import RULES, current_policy, text_sha256


def flag(message: Message, category: str, rule: str) -> ModerationRecord:
    """A rule cut this message while it was written; the record is made in the transaction that stores the text."""
    return ModerationRecord.objects.create(
        message=message,
        text_sha256=text_sha256(message.text),
        backend=RULES,
        policy=current_policy(),
        standing=Standing.FLAGGED,
        categories=[category],
        reason=rule,
    )
