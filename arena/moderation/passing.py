"""Sending what nobody has judged to the backend: newest first, within the rate limit, failures again later and not for ever."""

import logging
import time
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from arena import clock, limits
from arena.models import Message, ModerationRecord
from arena.models.battles import Origin
from arena.models.conversations import Verdict
from arena.models.moderation import Standing
from arena.moderation import backends, verdicts
from arena.moderation.backends import Backend, Misconfigured, Opinion

log = logging.getLogger(__name__)
LOCK = 0x6D6F6465  # advisory: one run at a time


def run() -> int:
    """Judge messages until none is due, the rate limit says stop, or MODERATION_RUN_S are over; returns how many were judged.

    0 at once without a backend, and while another run is under way.
    """
    backend = backends.configured()
    if backend is None or not _alone():
        return 0
    try:
        return _run(backend)
    except Misconfigured as error:
        log.error("moderation: %s", error)
        return 0
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _run(backend: Backend) -> int:
    until, done = time.monotonic() + settings.MODERATION_RUN_S, 0
    while time.monotonic() < until and (batch := _next(backend)) and _may_ask(backend):
        opinions = backend.look([message.text for message in batch])
        _store(backend.name, list(zip(batch, opinions, strict=True)))
        done += len(batch)
        if opinions[0].away:
            break  # the next run tries again
    return done


def _next(backend: Backend) -> list[Message]:
    """The messages of one request. One that has failed goes alone: a text that the backend chokes on must not spoil others."""
    found = due(backend.name, settings.MODERATION_BATCH)
    fresh = [message for message in found if not message.failures]
    return fresh or found[:1]


def due(backend: str, most: int) -> list[Any]:
    """Messages of waiting live conversations on which this backend has no word yet, newest first, with their `failures`.

    After an error a message waits MODERATION_BACKOFF_S, twice as long after each further one, and is given up after
    MODERATION_ATTEMPTS of them: then a moderator must look.
    """
    mine = ModerationRecord.objects.filter(message=OuterRef("pk"), policy=verdicts.current_policy())
    looked = mine.filter((Q(backend=backend) & ~Q(standing=Standing.ERROR)) | Q(backend=verdicts.HUMAN))
    failed = mine.filter(backend=backend, standing=Standing.ERROR).order_by().values("message")
    waiting = (
        Message.objects.filter(conversation__verdict=Verdict.PENDING, conversation__erased_at__isnull=True)
        .exclude(text="")
        .exclude(conversation__battle_as_a__origin=Origin.DEMO)
        .exclude(conversation__battle_as_b__origin=Origin.DEMO)
        .filter(~Exists(looked))
        .annotate(
            failures=Coalesce(Subquery(failed.annotate(n=Count("pk")).values("n")), 0),
            failed_at=Subquery(failed.annotate(at=Max("created_at")).values("at")),
        )
    )
    again = Q(failures=0)
    for failures in range(1, settings.MODERATION_ATTEMPTS):
        pause = timedelta(seconds=settings.MODERATION_BACKOFF_S * 2 ** (failures - 1))
        again |= Q(failures=failures, failed_at__lt=clock.now() - pause)
    return list(waiting.filter(again).order_by("-pk").defer("html")[:most])


def _may_ask(backend: Backend) -> bool:
    """One request from the bucket of this minute. Without Valkey nothing is sent: the limit could not be kept."""
    rate = settings.MODERATION_PER_MINUTE
    try:
        return limits.take_from(limits.Bucket(f"moderation:{backend.name}", max(1, rate // 10), rate)) == 0.0
    except redis.RedisError:
        log.warning("moderation waits: the rate limit cannot be read")
        return False


@transaction.atomic
def _store(backend: str, judged: list[tuple[Message, Opinion]]) -> None:
    """Records of texts that are still what was judged, and the verdicts that follow."""
    policy = verdicts.current_policy()
    said = {message.pk: (message.text, opinion) for message, opinion in judged}
    rows = Message.objects.select_for_update(no_key=True).filter(pk__in=said).order_by("pk").defer("html")
    still = [message for message in rows if message.text == said[message.pk][0]]
    ModerationRecord.objects.bulk_create(_record(backend, policy, message, said[message.pk][1]) for message in still)
    verdicts.settle({message.conversation_id for message in still})


def _record(backend: str, policy: str, message: Message, opinion: Opinion) -> ModerationRecord:
    return ModerationRecord(
        message=message,
        text_sha256=verdicts.text_sha256(message.text),
        backend=backend,
        backend_version=opinion.version,
        policy=policy,
        standing=opinion.standing,
        categories=list(opinion.categories),
        scores=opinion.scores,
        error=opinion.error,
        latency_ms=opinion.latency_ms,
    )
