"""The verbs of releases: start one, give one up, recall one. With `datasets/export.py`, the only writers of datasets/models.py.

A release is building, then published or failed; a published one can be recalled, and that is final. The name of a failed release
is free again; that of a published or recalled one is taken for ever.
"""

import re

from django.core.cache import cache
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from arena import audit, clock, jobs
from arena.audit import Actor
from arena.errors import Refused
from arena.models import Job
from arena.models.operations import JobState
from arena.moderation import policy, verdicts
from datasets import card, storage
from datasets.models import Release, ReleasedConversation, ReleaseState
from datasets.public_ids import public_id

KIND, TASK, QUEUE = "release", "datasets.tasks.build", "export"
SURVEY, SURVEY_TASK, SURVEY_KEPT_S = "release-dry-run", "datasets.tasks.survey", 24 * 3600
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
OPEN_JOB = (JobState.QUEUED, JobState.RUNNING)


def start(name: str, actor: Actor) -> Release:
    """A new release whose job is queued. Refused 400 for a name that makes no address, 409 for one that is taken or while another
    release is being written, 503 while the policy cannot be read or the key of public ids is not the one of earlier releases."""
    if not NAME.fullmatch(name):
        raise Refused(
            400, "name", _("Use up to 60 small letters, digits, hyphens and underscores; begin with a letter or digit.")
        )
    settle()
    with transaction.atomic():
        taken = Release.objects.select_for_update().filter(name=name).first()
        _may_start(taken)
        release = taken or Release(name=name)
        release.state, release.policy, release.licence = ReleaseState.BUILDING, _policy(), card.LICENCE
        release.dropped, release.facts = {}, {}
        release.created_by_id = getattr(actor, "pk", None)
        release.created_at = clock.now()
        release.save()
        release.job = jobs.start(KIND, TASK, QUEUE, actor, release=str(release.pk))
        release.save(update_fields=["job"])
        audit.record(actor, "release", release, after={"name": name, "policy": release.policy})
    return release


def _may_start(taken: Release | None) -> None:
    if taken and taken.state != ReleaseState.FAILED:
        raise Refused(
            409, "name_taken", _("There is a release of this name. Names are never used twice: choose another one.")
        )
    if Release.objects.filter(state=ReleaseState.BUILDING).exists():
        raise Refused(409, "busy", _("Another release is being written. Wait until it has ended."))
    if not same_key():
        raise Refused(
            503,
            "key",
            _(
                "AGON_RELEASE_KEY is not the key of the earlier releases, so every conversation would get a new id. Restore it."
            ),
        )


def same_key() -> bool:
    """Whether this process has the key of the earlier releases; True before the first one."""
    known = ReleasedConversation.objects.order_by("pk").first()
    return known is None or known.public_id == public_id(known.conversation_id)


def _policy() -> str:
    try:
        return verdicts.current_policy()
    except (OSError, policy.PolicyError):
        raise Refused(
            503, "policy", _("The moderation policy cannot be read, so nothing may leave. Repair it first.")
        ) from None


def survey(actor: Actor) -> Job:
    """Queue a dry run: the gate is asked about every battle, nothing is written. Refused 503 without a readable policy."""
    return jobs.start(SURVEY, SURVEY_TASK, QUEUE, actor, policy=_policy())


def surveyed(job: Job) -> dict[str, int] | None:
    """What a dry run has counted, by reason, ADMITTED ("") among them. None before its end, and a day after."""
    found: dict[str, int] | None = cache.get(f"{SURVEY}:{job.pk}")
    return found


def keep_survey(job: Job, counts: dict[str, int]) -> None:
    cache.set(f"{SURVEY}:{job.pk}", counts, SURVEY_KEPT_S)


def at_work() -> QuerySet[Release]:
    """Releases that a job is writing, or waits to write."""
    return Release.objects.filter(state=ReleaseState.BUILDING, job__state__in=OPEN_JOB)


def give_up(release: Release, words: str) -> None:
    """End a release that is being written, and its job, as failed; `words` are for operators. One that another job writes by
    now, because this one was cancelled, goes on."""
    if release.job_id:
        jobs.fail(release.job_id, words)
    mine = Release.objects.filter(pk=release.pk, state=ReleaseState.BUILDING, job=release.job_id)
    mine.update(state=ReleaseState.FAILED)


def settle() -> None:
    """Fail releases whose job has ended without publishing them: its worker died, or somebody ended it."""
    jobs.sweep()
    lost = Release.objects.filter(state=ReleaseState.BUILDING).exclude(pk__in=at_work())
    lost.update(state=ReleaseState.FAILED)


def remove_leftovers() -> int:
    """Remove what dead jobs and half-done recalls have left on the disk; returns how many folders."""
    unpublished = Release.objects.exclude(state=ReleaseState.PUBLISHED).values_list("name", flat=True)
    return storage.remove_leftovers(set(at_work().values_list("job_id", flat=True)), set(unpublished))


def recall(release: Release, actor: Actor, reason: str) -> None:
    """Take a published release back for ever: its files are removed and answer 410 with the reason. Refused 400 without a
    reason of at most 300 characters, 409 unless it is published."""
    reason = " ".join(reason.split())
    if not reason or len(reason) > 300:
        raise Refused(400, "reason", _("Say in 1 to 300 characters why: readers of the release will see it."))
    with transaction.atomic():
        mine = Release.objects.filter(pk=release.pk, state=ReleaseState.PUBLISHED)
        if not mine.update(state=ReleaseState.RECALLED, recalled_at=clock.now(), recall_reason=reason):
            raise Refused(409, "not_published", _("Only a published release can be recalled."))
        release.refresh_from_db()
        audit.record(actor, "recall", release, {"state": "published"}, {"state": "recalled"}, reason)
        transaction.on_commit(lambda: storage.remove(release.name))
