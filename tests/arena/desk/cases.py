"""Battles, records and complaints on the way to the desk, and its pages as a moderator asks for them."""

import re

from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client

from arena import appeals, battles
from arena.models import Appeal, Battle, Conversation, Enrichment, GateBlock, Message, ModerationRecord, Report, Turn
from arena.moderation import verdicts
from tests import factories


def moderator(name: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name="moderator"))
    return user


def battle(prompt: str = "Why is the sky blue?", publish: bool = False, **outcomes: object) -> Battle:
    visitor = factories.visitor()
    factories.consent(visitor, publish=publish)
    return factories.finish(factories.started(visitor, prompt), **outcomes)


def look(of: Battle, standing: str = "flagged", *categories: str, side: str = "a", position: int = 1) -> Message:
    """A backend's record on one message, and the verdicts that follow."""
    message = Message.objects.get(conversation=of.conversation_id(side), position=position)
    ModerationRecord.objects.create(
        message=message,
        text_sha256=verdicts.text_sha256(message.text),
        backend="rules",
        policy=verdicts.current_policy(),
        standing=standing,
        categories=list(categories),
    )
    verdicts.settle([of.conversation_id(side)])
    return message


def enrich(message: Message, language: str = "de", pii: list | None = None) -> None:
    Enrichment.objects.update_or_create(
        message=message,
        defaults={
            "version": "1",
            "text_sha256": verdicts.text_sha256(message.text),
            "language": language,
            "language_name": "German" if language == "de" else language,
            "language_confidence": 0.9,
            "fingerprint": "f",
            "simhash": 1,
            "pii": pii or [],
            **dict.fromkeys(("chars", "words", "headers", "lists", "bold"), 1),
        },
    )


def report(of: Battle, text: str = "look at this") -> Report:
    reply = Turn.objects.get(battle=of, number=1).replies.get(side="a")
    return battles.report(reply, of.visitor, "harmful", text)


def appeal(text: str = "it was a recipe") -> Appeal:
    block = GateBlock.objects.create(
        visitor=factories.visitor(), policy="1", category="weapons", rule="weapons.bomb", prompt="bath bomb recipe"
    )
    return appeals.appeal(block, text)


def page(client: Client, slug: str, pk: object = "", query: str = "") -> HttpResponse:
    return client.get(f"/desk/{slug}/{f'{pk}/' if pk else ''}{query}")


def seen(client: Client, slug: str, pk: object) -> str:
    return re.search(r'name="seen" value="([^"]*)"', page(client, slug, pk).content.decode()).group(1)  # type: ignore[union-attr]


def decide(
    client: Client, slug: str, pk: object, verdict: str, reason: str = "", mark: str | None = None
) -> HttpResponse:
    mark = seen(client, slug, pk) if mark is None else mark
    return client.post(f"/desk/{slug}/{pk}/decide/", {"verdict": verdict, "reason": reason, "seen": mark})


def verdict_of(one: Battle) -> set[str]:
    sides = Conversation.objects.filter(pk__in=[one.conversation_a_id, one.conversation_b_id])
    return set(sides.values_list("verdict", flat=True))
