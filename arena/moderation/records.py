"""The rules' word on a message, as a record: what they match is flagged, the rest is pending. Rules never pass anything."""

from collections.abc import Sequence
from typing import NamedTuple

from arena.models import Message, ModerationRecord
from arena.models.moderation import Standing
from arena.moderation import policy
from arena.moderation.detectors.folding import prompt_words
from arena.moderation.verdicts import RULES, current_policy, text_sha256

LONGEST = 400_000  # characters; nothing stored is longer, and what was would be flagged unread


class Judged(NamedTuple):
    """Categories and ids of the rules that a text matched, whatever they block."""

    categories: list[str]
    rules: str


def judge(text: str) -> Judged:
    """Raises OSError or PolicyError while the rule file is broken."""
    if len(text) > LONGEST:
        return Judged(["unread"], "too_long")
    matched = list(policy.load().all.matches(prompt_words(text)))
    return Judged(sorted({rule.category for rule in matched}), " ".join(rule.id for rule in matched)[:1000])


def without(messages: Sequence[Message]) -> list[Message]:
    """Messages about whose text the rules have said nothing under the policy in force."""
    known = set(
        ModerationRecord.objects.filter(message__in=messages, backend=RULES, policy=current_policy()).values_list(
            "message", "text_sha256"
        )
    )
    return [message for message in messages if (message.pk, text_sha256(message.text)) not in known]


def store(judged: Sequence[tuple[Message, Judged]]) -> None:
    """Append what the rules said, once per text and policy. The caller holds the messages' rows."""
    new = {message.pk for message in without([message for message, _said in judged])}
    ModerationRecord.objects.bulk_create(_record(message, said) for message, said in judged if message.pk in new)


def flag(message: Message, category: str, rule: str) -> None:
    """A rule cut this message while it was written; the record is made in the transaction that stores the text."""
    _record(message, Judged([category], rule)).save()


def _record(message: Message, said: Judged) -> ModerationRecord:
    return ModerationRecord(
        message=message,
        text_sha256=text_sha256(message.text),
        backend=RULES,
        policy=current_policy(),
        standing=Standing.FLAGGED if said.categories else Standing.PENDING,
        categories=said.categories,
        reason=said.rules,
    )
