"""Jobs: claimed once, watched while they run, swept when their worker dies, cancelled by hand; and their page."""

import errno
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.conf import settings as live_settings
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.urls import reverse

from arena import clock, jobs
from arena.models import AuditEntry, Job, Message
from arena.moderation.policy import PolicyError

pytestmark = pytest.mark.django_db


def queued(**fields: object) -> Job:
    return Job.objects.create(kind="export", arguments={"_task": "t.export", "_queue": "export"}, **fields)


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def age(job: Job, **ages: float) -> None:
    """Set time columns to so many seconds ago."""
    Job.objects.filter(pk=job.pk).update(**{k: clock.now() - timedelta(seconds=v) for k, v in ages.items()})


def member(group: str) -> Client:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


# --- starting -------------------------------------------------------------------------------------------------------------


def test_a_job_is_written_and_sent_on_commit(valkey: redis.Redis, django_capture_on_commit_callbacks) -> None:
    ada = User.objects.create_user("ada")
    with django_capture_on_commit_callbacks(execute=False) as after:
        job = jobs.start("export", "t.export", "export", ada, release="r1")
        assert valkey.llen("export") == 0, "not before the row can be seen"
    after[0]()
    assert valkey.llen("export") == 1 and str(job.pk).encode() in valkey.lindex("export", 0)
    assert (job.state, job.requested_by, job.arguments["release"]) == ("queued", ada, "r1")


def test_a_dead_broker_leaves_a_row_that_the_sweep_sends(
    valkey: redis.Redis, settings, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("nobody listens")

    with monkeypatch.context() as patch, django_capture_on_commit_callbacks(execute=True):
        patch.setattr(jobs.app, "send_task", away)
        job = jobs.start("export", "t.export", "export")
    assert fresh(job).state == "queued" and jobs.sweep() == 0
    age(job, created_at=settings.JOB_SILENT_S + 1)
    assert jobs.sweep() == 1 and valkey.llen("export") == 1
    assert jobs.sweep() == 0, "once per period, however often the sweep runs"
    assert valkey.llen("export") == 1


# --- running --------------------------------------------------------------------------------------------------------------


def test_a_job_runs_once_and_ends_as_done() -> None:
    job = queued()
    with jobs.running(job.pk) as progress:
        assert progress is not None
        with jobs.running(job.pk) as second:
            assert second is None
    assert fresh(job).state == "done" and fresh(job).finished_at is not None
    with jobs.running(job.pk) as again:
        assert again is None


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_claims() -> None:
    job = queued()

    def work(_: int) -> bool:
        try:
            with jobs.running(job.pk) as progress:
                return progress is not None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 1


def test_progress_is_stored_with_a_sign_of_life_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    job, moment = queued(), [100.0]
    monkeypatch.setattr(jobs, "monotonic", lambda: moment[0])
    with jobs.running(job.pk) as progress:
        progress.total(50, "reading")
        assert (fresh(job).total, fresh(job).message, fresh(job).done) == (50, "reading", 0)
        progress.at(10)
        assert fresh(job).done == 0, "too soon"
        age(job, beat_at=100)
        moment[0] += jobs.BEAT_S
        progress.at(20, "x" * 999)
        assert (fresh(job).done, len(fresh(job).message)) == (20, 300)
        assert clock.now() - fresh(job).beat_at < timedelta(seconds=5)


def test_an_error_ends_the_row_and_is_raised() -> None:
    job = queued()
    with pytest.raises(OSError), jobs.running(job.pk):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (fresh(job).state, fresh(job).message) == ("failed", "OSError: No space left on device")


def test_an_error_that_quotes_a_text_leaves_none_of_it_where_operators_look() -> None:
    job = queued()
    with pytest.raises(IntegrityError), jobs.running(job.pk), transaction.atomic():
        Message.objects.create(conversation_id=uuid4(), position=-1, role="user", text="my secret diary")
    message = fresh(job).message
    assert "diary" not in message and "SQLSTATE 23514" in message and "arena_message" in message


def test_a_worker_that_dies_is_noticed(settings) -> None:
    alive, dead = queued(), queued()
    for job in (alive, dead):
        Job.objects.filter(pk=job.pk).update(state="running", started_at=clock.now(), beat_at=clock.now())
    age(dead, beat_at=settings.JOB_SILENT_S + 1)
    assert jobs.sweep() == 1
    assert (fresh(alive).state, fresh(dead).state) == ("running", "failed")
    assert "worker stopped" in fresh(dead).message


def test_a_failed_row_is_not_revived_by_its_late_worker() -> None:
    job = queued()
    with jobs.running(job.pk) as progress:
        jobs.fail(job.pk, "taken away")
        with pytest.raises(jobs.Cancelled):
            progress.total(3)
    assert (fresh(job).state, fresh(job).message) == ("failed", "taken away")


def test_cancelling_stops_the_work_at_its_next_sign_of_progress() -> None:
    ada, job, reached = User.objects.create_user("ada"), queued(), []
    with jobs.running(job.pk) as progress:
        assert jobs.cancel(fresh(job), ada)
        progress.total(3)
        reached.append("behind")
    assert not reached and fresh(job).message == "Cancelled by ada."
    entry = AuditEntry.objects.get(action="cancel")
    assert (entry.actor, entry.before, entry.after) == (ada, {"state": "running"}, {"state": "failed"})
    assert not jobs.cancel(fresh(job), ada) and AuditEntry.objects.count() == 1


def test_a_job_that_was_cancelled_before_it_began_never_runs() -> None:
    job = queued()
    jobs.cancel(job, None)
    with jobs.running(job.pk) as progress:
        assert progress is None


def test_the_sweep_is_on_the_clock() -> None:
    entry = live_settings.CELERY_BEAT_SCHEDULE["sweep-jobs"]
    assert entry["task"] == "arena.tasks.sweep_jobs" and entry["schedule"] <= live_settings.JOB_SILENT_S


# --- the page -------------------------------------------------------------------------------------------------------------

LIST = "admin:arena_job_changelist"


def test_the_list_shows_progress_heartbeat_and_why_it_failed() -> None:
    Job.objects.create(kind="export", state="running", done=1500, total=3000, beat_at=clock.now(), message="shard 2")
    Job.objects.create(kind="backfill", state="failed", message="OSError: <disk full>", done=7)
    Job.objects.create(kind="old", state="done", done=5, total=5)
    page = member("operator").get(reverse(LIST)).content.decode()
    assert '<progress max="3000" value="1500"></progress> 50 % (1,500 / 3,000)' in page
    assert "just now" in page and "shard 2" in page
    assert "OSError: &lt;disk full&gt;" in page and "100 %" in page


def test_an_operator_cancels_an_analyst_only_looks() -> None:
    job = queued(state="running", beat_at=clock.now())
    form = {"action": "cancel", "_selected_action": [str(job.pk)]}
    analyst = member("analyst")
    assert analyst.get(reverse(LIST)).status_code == 200
    analyst.post(reverse(LIST), form)
    assert fresh(job).state == "running"
    assert "1 job cancelled" in member("operator").post(reverse(LIST), form, follow=True).content.decode()
    assert fresh(job).state == "failed"


def test_buttons_start_a_fit_and_a_backfill(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[bool] = []
    monkeypatch.setattr("arena.voiding.ask_for_a_fit", lambda: fits.append(True) or len(fits) == 1)
    monkeypatch.setattr(
        "arena.admin.jobs.start_backfill", lambda actor: Job.objects.create(kind="enrich", requested_by=actor)
    )
    client = member("operator")
    shown = client.get(reverse(LIST)).content.decode()
    assert (
        f'action="{reverse("admin:arena_job_refit")}"' in shown
        and f'action="{reverse("admin:arena_job_enrich")}"' in shown
    )
    assert "A fit has been queued" in client.post(reverse("admin:arena_job_refit"), follow=True).content.decode()
    assert "broker is away" in client.post(reverse("admin:arena_job_refit"), follow=True).content.decode()
    assert "back-fill has been queued" in client.post(reverse("admin:arena_job_enrich"), follow=True).content.decode()
    assert Job.objects.get().requested_by.username == "operator"
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["start", "refit", "refit"]


def test_the_real_backfill_is_queued_once_and_a_broken_rule_file_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.jobs.app.send_task", lambda *_, **__: None)
    client = member("operator")
    for _ in range(2):
        client.post(reverse("admin:arena_job_enrich"))
    assert Job.objects.count() == 1

    def broken() -> str:
        raise PolicyError("rule 3 has no id")

    monkeypatch.setattr("arena.moderation.verdicts.current_policy", broken)
    Job.objects.all().delete()
    assert "rule 3 has no id" in client.post(reverse("admin:arena_job_enrich"), follow=True).content.decode()
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["refit", "enrich"])
def test_buttons_are_for_operators_and_posts(name: str) -> None:
    where = reverse(f"admin:arena_job_{name}")
    analyst = member("analyst")
    assert analyst.post(where).status_code == 403
    assert "object-tools" not in analyst.get(reverse(LIST)).content.decode()
    assert member("operator").get(where).status_code == 403
    assert not AuditEntry.objects.exists()
