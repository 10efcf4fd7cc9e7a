"""What may be shown and released: the standing of each message, and the verdict of a conversation that follows from it.

Everything here fails closed. A message counts as passed only when the newest look that decides (a moderator's, else a backend's)
passed exactly this text under the policy that is in force now; rules alone can flag, never pass.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import transaction

from arena import clock
from arena.models import Battle, Conversation, Message, ModerationRecord
from arena.models.conversations import Verdict
from arena.models.moderation import Standing
from arena.moderation import policy

log = logging.getLogger(__name__)
HUMAN, RULES = "human", "rules"
EXPORTABLE = frozenset({Standing.PASSED, Standing.HUMAN_PASSED})
BAD = frozenset({Standing.FLAGGED, Standing.HUMAN_BLOCKED})
MISSING, STALE = "missing", "stale"  # beside the values of Standing: nobody has looked; only at another text or policy


def text_sha256(text: str) -> str:
    """The hash that ties a record to a text (UTF-8)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def current_policy() -> str:
    """Version of the policy in force. Raises PolicyError while the rule file is broken: then nothing is exportable."""
    return policy.load().version


def effective(text: str, records: Sequence[ModerationRecord], policy_version: str) -> str:
    """A message's standing now, of all its records: a value of Standing, MISSING or STALE.

    A moderator's newest word counts before any backend's. Among backends one that flags or fails counts before one that passes.
    Records of another text or another policy are STALE, except that a moderator's block stays until a moderator lifts it.
    """
    if not records:
        return MISSING
    newest_first = sorted(records, key=lambda record: (record.created_at, record.id), reverse=True)
    digest = text_sha256(text)
    valid = [r for r in newest_first if r.text_sha256 == digest and r.policy == policy_version]
    human = next((r for r in newest_first if r.backend == HUMAN), None)
    if human is not None and (human in valid or human.standing == Standing.HUMAN_BLOCKED):
        return human.standing
    if not valid:
        return STALE
    latest = {r.backend: r.standing for r in reversed(valid)}
    by_backend = {name: standing for name, standing in latest.items() if name != RULES}
    if Standing.FLAGGED in latest.values():
        return Standing.FLAGGED
    if Standing.ERROR in by_backend.values():
        return Standing.ERROR
    passed = by_backend and all(standing == Standing.PASSED for standing in by_backend.values())
    return Standing.PASSED if passed else Standing.PENDING


def standings(messages: Iterable[Message]) -> dict[UUID, str]:
    """`effective` of many messages, in one query."""
    messages = list(messages)
    records: dict[UUID, list[ModerationRecord]] = {message.pk: [] for message in messages}
    for record in ModerationRecord.objects.filter(message__in=list(records)):
        records[record.message_id].append(record)
    version = current_policy()
    return {message.pk: effective(message.text, records[message.pk], version) for message in messages}


def verdict(found: Iterable[str]) -> Verdict:
    """Of a conversation, from the standings of its messages. An empty conversation is pending."""
    seen = set(found)
    if Standing.HUMAN_BLOCKED in seen:
        return Verdict.BLOCKED
    if Standing.FLAGGED in seen:
        return Verdict.FLAGGED
    return Verdict.PASSED if seen and seen <= EXPORTABLE else Verdict.PENDING


def may_be_shown(battle: Battle) -> bool:
    """Whether every message of both sides is passed now: by the stored verdicts and, asked again, by the records themselves.

    False while the rule file is broken.
    """
    sides = [battle.conversation_a_id, battle.conversation_b_id]
    if Conversation.objects.filter(pk__in=sides, verdict=Verdict.PASSED, erased_at__isnull=True).count() < len(sides):
        return False
    said: dict[UUID, list[str]] = {pk: [] for pk in sides}
    messages = list(Message.objects.filter(conversation__in=sides).defer("html"))
    try:
        known = standings(messages)
    except (OSError, policy.PolicyError):
        log.exception("nothing is shown while the rules cannot be read")
        return False
    for message in messages:
        said[message.conversation_id].append(known[message.pk])
    return all(verdict(found) == Verdict.PASSED for found in said.values())


@transaction.atomic
def settle(conversation_ids: Iterable[UUID]) -> None:
    """Write down the verdicts of these conversations, as they follow from the records now.

    Their rows are held meanwhile, so of two callers the later one reads what the earlier one has written.
    """
    held = Conversation.objects.select_for_update(no_key=True).filter(pk__in=set(conversation_ids))
    ids = list(held.order_by("pk").values_list("pk", flat=True))
    messages = list(Message.objects.filter(conversation__in=ids))
    known = standings(messages)
    said: dict[UUID, list[str]] = {pk: [] for pk in ids}
    for message in messages:
        said[message.conversation_id].append(known[message.pk])
    for pk, found in said.items():
        now = verdict(found)
        Conversation.objects.filter(pk=pk).exclude(verdict=now).update(verdict=now, verdict_at=clock.now())
