"""Battles that may leave, made by the product's own verbs, and the ways in which they may not."""

from collections.abc import Sequence

from arena import votes
from arena.models import Battle, Enrichment, Message, ModerationRecord, Visitor
from arena.models.moderation import Standing
from arena.moderation import enrichment, verdicts
from tests import factories
from tests.factories import outcome


def publisher() -> Visitor:
    """A person who agreed that conversations are published."""
    made = factories.visitor()
    factories.consent(made, publish=True)
    return made


def fought(by: Visitor | None = None, prompt: str = "Why is the sky blue?", **answers: str) -> Battle:
    """A voted battle of somebody who agreed to publishing; nobody has moderated it yet."""
    texts = {side: outcome(answers.get(side, f"Because of Rayleigh, says {side}.")) for side in ("a", "b")}
    battle = factories.finish(factories.started(by or publisher(), prompt), texts["a"], texts["b"])
    votes.cast_vote(battle.pk, "a", 1)
    battle.refresh_from_db()
    return battle


def releasable(by: Visitor | None = None, prompt: str = "Why is the sky blue?", **answers: str) -> Battle:
    """A battle that passes the gate: voted, consented, passed by a moderator, searched for personal data."""
    battle = fought(by, prompt, **answers)
    for message in messages(battle):
        look(message)
        enrich(message)
    return battle


def messages(battle: Battle) -> Sequence[Message]:
    sides = [battle.conversation_a_id, battle.conversation_b_id]
    return list(Message.objects.filter(conversation__in=sides).order_by("conversation", "position"))


def look(
    message: Message, standing: str = Standing.HUMAN_PASSED, backend: str = verdicts.HUMAN, **fields: object
) -> ModerationRecord:
    """One more verdict on a message, as it stands now under today's policy."""
    fields = {"text_sha256": verdicts.text_sha256(message.text), "policy": verdicts.current_policy()} | fields
    return ModerationRecord.objects.create(message=message, backend=backend, standing=standing, **fields)


def enrich(message: Message, **fields: object) -> Enrichment:
    """What the detectors would write of a harmless English message."""
    defaults = {
        "version": enrichment.VERSION,
        "text_sha256": verdicts.text_sha256(message.text),
        "language": "en",
        "language_name": "English",
        "language_confidence": 0.99,
        "chars": len(message.text),
        "words": len(message.text.split()),
        "headers": 0,
        "lists": 0,
        "bold": 0,
        "fingerprint": "f" * 64,
        "simhash": 0,
        "pii": [],
    } | fields
    return Enrichment.objects.update_or_create(message=message, defaults=defaults)[0]
