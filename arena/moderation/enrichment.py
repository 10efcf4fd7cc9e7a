"""What detectors and rules find in each message: once per text and version, soon after it was written.

A task on commit does it within seconds; `sweep` finds what was lost on the way; a job re-checks all of history. Nothing heavy is
imported before a text is looked at: web and worker-generate only hand out work.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from kombu.exceptions import OperationalError

from arena import clock, jobs
from arena.celery import app
from arena.ids import uuid7_floor
from arena.models import Enrichment, Job, Message, ModerationRecord, Turn
from arena.models.operations import JobState
from arena.moderation import records, verdicts

log = logging.getLogger(__name__)
VERSION = "2026-11-26.1"  # of the detectors: raise it when one of them finds something else in the same text
KIND = "enrich"
TASK, HISTORY_TASK = "arena.tasks.enrich_turn", "arena.tasks.enrich_history"
GRACE = timedelta(seconds=30)  # what the task on commit has before `sweep` looks
AGAIN = timedelta(hours=1)  # a job over history that failed is not started by itself before


class Looked(NamedTuple):
    """One text and what was found in it; None for what was known already."""

    text: str
    row: dict[str, object] | None
    judged: records.Judged | None


def enrich(messages: Iterable[Message]) -> int:
    """Write the enrichment and the rules' record that each message lacks; returns how many messages lacked something.

    Safe to call at once from anywhere: a message that another transaction holds is left to it, one whose text changed
    meanwhile to the next call. Raises PolicyError while the rule file is broken.
    """
    messages = [message for message in messages if message.text]
    unread, unjudged = _unread(messages), _unjudged(messages)
    detect = cache(_detect)  # both sides are asked the same
    looked = {
        message.pk: look
        for message in messages
        if (look := _look(message, detect if message.pk in unread else None, message.pk in unjudged))
    }
    if not looked:
        return 0
    with transaction.atomic():
        rows = Message.objects.select_for_update(no_key=True, skip_locked=True).filter(pk__in=looked).defer("html")
        still = [message for message in rows.order_by("pk") if message.text == looked[message.pk].text]
        _store_rows([(message, row) for message in still if (row := looked[message.pk].row)])
        records.store([(message, judged) for message in still if (judged := looked[message.pk].judged)])
        verdicts.settle({message.conversation_id for message in still})
    return len(still)


def _unread(messages: list[Message]) -> set[UUID]:
    """Those without an enrichment of this VERSION for the text they have now."""
    known = dict(
        Enrichment.objects.filter(pk__in=[m.pk for m in messages], version=VERSION).values_list("pk", "text_sha256")
    )
    return {message.pk for message in messages if known.get(message.pk) != verdicts.text_sha256(message.text)}


def _unjudged(messages: list[Message]) -> set[UUID]:
    """Those without a record of the rules under the policy in force, for the text they have now."""
    return {message.pk for message in records.without(messages)}


def _look(message: Message, detect: Callable[[str], dict[str, object]] | None, unjudged: bool) -> Looked | None:
    """Hold one text against what it lacks. A detector that fails costs this message its enrichment, so it stays on the site."""
    if not (detect or unjudged):
        return None
    judged = records.judge(message.text) if unjudged else None
    try:
        return Looked(message.text, detect(message.text) if detect else None, judged)
    except Exception:
        log.exception("message %s was not enriched", message.pk)
        return Looked(message.text, None, judged) if judged else None


def _detect(text: str) -> dict[str, object]:
    from arena.moderation import detection  # only where texts are looked at

    return detection.detect(text)


def _store_rows(found: list[tuple[Message, dict[str, object]]]) -> None:
    rows = [
        Enrichment(message=message, version=VERSION, text_sha256=verdicts.text_sha256(message.text), **row)
        for message, row in found
    ]
    fields = [field.name for field in Enrichment._meta.concrete_fields if not field.primary_key]
    Enrichment.objects.bulk_create(rows, update_conflicts=True, unique_fields=["message"], update_fields=fields)


# --- When -------------------------------------------------------------------------------------------------------------


def enqueue(turn_id: UUID) -> None:
    """Have a turn's messages enriched once the transaction is committed. A dead broker only delays it until the sweep."""
    transaction.on_commit(lambda: _send(turn_id))


def _send(turn_id: UUID) -> None:
    try:
        app.send_task(TASK, [str(turn_id)], queue="default", retry=False)
    except (OperationalError, OSError) as error:
        log.warning("broker unreachable (%s); the sweep will enrich turn %s", error, turn_id)


def enrich_turn(turn_id: UUID) -> int:
    """Prompt and answers of one turn. 0 when it is gone."""
    turn = Turn.objects.select_related("battle").filter(pk=turn_id).first()
    if turn is None:
        return 0
    sides = [turn.battle.conversation_a_id, turn.battle.conversation_b_id]
    places = [2 * (turn.number - 1), 2 * (turn.number - 1) + 1]
    return enrich(Message.objects.filter(conversation__in=sides, position__in=places).defer("html"))


def sweep() -> int:
    """Enrich recent messages that nothing has enriched (at most ENRICH_BATCH, newest first), and see to history."""
    now = clock.now()
    recent = Message.objects.filter(
        pk__gte=uuid7_floor(now - timedelta(seconds=settings.ENRICH_LOOKBACK_S)), pk__lt=uuid7_floor(now - GRACE)
    )
    lacking = lacking_current(recent).order_by("-pk").defer("html")
    done = enrich(lacking[: settings.ENRICH_BATCH])
    see_to_history()
    return done


def lacking_current(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Messages with text that have no enrichment of this version or no rules record under this policy, whatever their text."""
    here = {"message": OuterRef("pk")}
    enriched = Enrichment.objects.filter(version=VERSION, **here)
    judged = ModerationRecord.objects.filter(backend=verdicts.RULES, policy=verdicts.current_policy(), **here)
    return messages.exclude(text="").filter(~Exists(enriched) | ~Exists(judged))


def see_to_history() -> Job | None:
    """After the detectors or the policy changed, start the job over history by itself, once."""
    mine = Job.objects.filter(kind=KIND, arguments__version=VERSION, arguments__policy=verdicts.current_policy())
    if mine.exclude(state=JobState.FAILED).exists() or mine.filter(created_at__gte=clock.now() - AGAIN).exists():
        return None
    return start_backfill(None)


def start_backfill(actor: AbstractBaseUser | AnonymousUser | None) -> Job:
    """Re-check every message on the site; the job that is under way, when there is one."""
    under_way = Job.objects.filter(kind=KIND).filter(Q(state=JobState.QUEUED) | Q(state=JobState.RUNNING)).first()
    if under_way:
        return under_way
    facts = {"version": VERSION, "policy": verdicts.current_policy()}
    return jobs.start(KIND, HISTORY_TASK, "export", actor, **facts)
