"""Long work that people can watch: a row says who asked, how far it is, and how it ended.

A job is queued with `start`, run by a Celery task inside `running`, and its row is the truth: a worker that dies stops the row's
heartbeat, and `sweep` says so. Every kind of job must be safe to start again from nothing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from arena import audit, clock
from arena.audit import Actor
from arena.celery import app
from arena.models import Job
from arena.models.operations import JobState
from inference.logs import describe

log = logging.getLogger(__name__)
BEAT_S = 2.0  # progress is stored at most this often


class Cancelled(Exception):
    """Somebody failed the job's row while it ran."""


class Progress:
    """Handed to the work: say how far it is, and the row will."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._told = 0.0

    def total(self, total: int, message: str = "") -> None:
        self._store(total=total, message=message[:300])

    def at(self, done: int, message: str = "") -> None:
        """`done` units are behind us. Stored at most every BEAT_S. Raises Cancelled when the row was taken away."""
        if monotonic() - self._told >= BEAT_S:
            self._store(done=done, **({"message": message[:300]} if message else {}))

    def last(self, done: int, message: str = "") -> None:
        """Like `at`, and stored in any case: the work is done."""
        self._store(done=done, message=message[:300])

    def _store(self, **values: Any) -> None:
        self._told = monotonic()
        mine = Job.objects.filter(pk=self.job.pk, state=JobState.RUNNING)
        if not mine.update(beat_at=clock.now(), **values):
            raise Cancelled(str(self.job.pk))


def start(kind: str, task: str, queue: str, actor: Actor = None, **arguments: Any) -> Job:
    """Write the row and queue `task(job_id)` on commit. With the broker down the row waits for `sweep`."""
    user = actor if isinstance(actor, User) else None
    job = Job.objects.create(kind=kind, arguments={**arguments, "_task": task, "_queue": queue}, requested_by=user)
    transaction.on_commit(lambda: _send(job.pk, task, queue))
    return job


@contextmanager
def running(job_id: UUID) -> Iterator[Progress | None]:
    """Claim the job (None when another worker has it) and end its row however the block ends."""
    mine = Job.objects.filter(pk=job_id, state=JobState.QUEUED)
    moment = clock.now()
    if not mine.update(state=JobState.RUNNING, started_at=moment, beat_at=moment):
        yield None
        return
    progress = Progress(Job.objects.get(pk=job_id))
    try:
        yield progress
    except Cancelled:
        log.warning("job %s was cancelled", job_id)
    except Exception as error:
        log.exception("job %s failed", job_id)
        fail(job_id, describe(error))  # its own words could quote a text, and whoever sees jobs may read none
        raise
    else:
        _end(job_id, JobState.DONE)


def fail(job_id: UUID, message: str) -> bool:
    """End an open job as failed. False when it had ended already."""
    return _end(job_id, JobState.FAILED, message=message[:300])


def _end(job_id: UUID, state: JobState, **values: Any) -> bool:
    unfinished = Job.objects.filter(pk=job_id, state__in=[JobState.QUEUED, JobState.RUNNING])
    return bool(unfinished.update(state=state, finished_at=clock.now(), **values))


def sweep() -> int:
    """Fail jobs whose worker died, and send again those that no worker seems to have been told of; returns how many.

    A job that only waits for its turn is sent again, too, at most once per settings.JOB_SILENT_S: of its messages the first one
    that is read claims it, the others do nothing.
    """
    silent = clock.now() - timedelta(seconds=settings.JOB_SILENT_S)
    dead = Job.objects.filter(state=JobState.RUNNING, beat_at__lt=silent)
    touched = sum(fail(pk, _("Its worker stopped. Start it again.")) for pk in dead.values_list("pk", flat=True))
    untold = Q(beat_at__isnull=True, created_at__lt=silent) | Q(beat_at__lt=silent)
    for job in Job.objects.filter(untold, state=JobState.QUEUED):
        if _send(job.pk, job.arguments["_task"], job.arguments["_queue"]):
            touched += Job.objects.filter(pk=job.pk, state=JobState.QUEUED).update(beat_at=clock.now())
    return touched


def cancel(job: Job, actor: Actor) -> bool:
    """Fail an open job by hand; its worker stops at its next sign of progress. False when it had ended already."""
    with transaction.atomic():
        name = actor.get_username() if isinstance(actor, User) else "system"
        if not fail(job.pk, _("Cancelled by %(who)s.") % {"who": name}):
            return False
        audit.record(actor, "cancel", job, {"state": job.state}, {"state": JobState.FAILED})
    return True


def _send(job_id: UUID, task: str, queue: str) -> bool:
    try:
        app.send_task(task, [str(job_id)], queue=queue, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("broker unreachable (%s); job %s waits for the sweep", error, job_id)
        return False
    return True
