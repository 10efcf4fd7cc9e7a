"""Starting, watching and recalling releases: the command, and the admin with its permissions."""

import re
from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from arena import staff
from arena.models import AuditEntry, Job
from datasets import export, releases, workers
from datasets.models import Release
from tests import factories
from tests.datasets import making, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "releases_dir")]
LIST, NEW, SURVEY = "/admin/datasets/release/", "/admin/datasets/release/add/", "/admin/datasets/release/survey/"


def member(*groups: str) -> Client:
    staff.install()
    user = User.objects.create_user("-".join(groups), is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(user)
    return client


def command(*arguments: str) -> str:
    """What the command prints; with a worker, jobs run as soon as it watches them."""
    out = StringIO()
    call_command("release", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody listens, and works while the command sleeps."""
    monkeypatch.setattr(workers, "listening", lambda: True)

    def work(_seconds: float) -> None:
        for job in Job.objects.filter(state="queued"):
            {releases.KIND: export.run, releases.SURVEY: export.survey}[job.kind](job.pk)

    monkeypatch.setattr("datasets.management.commands.release.time.sleep", work)


@pytest.mark.usefixtures("worker")
def test_the_command_publishes_and_says_what_it_did() -> None:
    rows.releasable()
    factories.ready(rows.publisher())
    said = command("first", "--wait")
    assert "first is queued." in said and "2  open" in said and "not finished yet" in said
    assert "Published first: 2 conversations, 4 messages," in said and "/datasets/first/" in said
    with pytest.raises(CommandError, match="Names are never used twice"):
        command("first", "--wait")


@pytest.mark.usefixtures("worker")
def test_the_command_says_why_nothing_left() -> None:
    rows.fought()
    with pytest.raises(CommandError, match="No conversation passes the gate: moderation_missing 2"):
        command("first", "--wait")
    with pytest.raises(CommandError, match="small letters"):
        command("No Name", "--wait")


@pytest.mark.usefixtures("worker")
def test_a_dry_run_counts_and_writes_nothing(releases_dir) -> None:
    rows.releasable()
    rows.fought()
    said = command("--dry-run")
    assert "2 conversations would leave." in said and "moderation_missing" in said
    assert not Release.objects.exists() and not releases_dir.exists()


def test_without_a_worker_the_command_says_so() -> None:
    """Nobody consumes this test's queue: the question goes to the real broker."""
    rows.releasable()
    with pytest.raises(CommandError, match="start worker-long"):
        command("first", "--wait")
    assert Release.objects.get().state == "failed"
    with pytest.raises(CommandError, match="start worker-long"):
        command("--dry-run")
    assert "waits until then" in command("first")
    assert Release.objects.get().state == "building"


def test_the_admin_counts_first_then_writes_then_shows() -> None:
    operator = member("operator")
    rows.releasable()
    rows.fought()
    assert b"Count what would leave" in operator.get(NEW).content
    answer = operator.post(SURVEY)
    page = operator.get(answer["Location"]).content.decode()
    assert 'http-equiv="refresh"' in page and "worker-long is not running" in page
    export.survey(Job.objects.get().pk)
    page = operator.get(answer["Location"]).content.decode()
    assert "2 conversations would leave." in page and "not moderated" in page and 'http-equiv="refresh"' not in page
    assert not Release.objects.exists()

    answer = operator.post(NEW, {"name": "first"})
    release = Release.objects.get()
    assert answer["Location"] == reverse("admin:datasets_release_change", args=[release.pk])
    assert 'http-equiv="refresh"' in operator.get(answer["Location"]).content.decode()
    export.run(release.job_id)
    page = operator.get(answer["Location"]).content.decode()
    assert "/datasets/first/" in page and "Recall for ever" in page and "not moderated" in page
    assert release.created_by is not None and AuditEntry.objects.get(action="release").actor == release.created_by
    assert operator.get(LIST).status_code == 200


def test_the_admin_refuses_with_the_verbs_words() -> None:
    operator = member("operator")
    assert "small letters" in operator.post(NEW, {"name": "A B"}).content.decode()
    assert "This field is required" in operator.post(NEW, {"name": ""}).content.decode()
    for survey in ("", "x", "00000000-0000-0000-0000-000000000000"):
        assert operator.get(f"{NEW}?survey={survey}").status_code == 200


def test_a_recall_from_the_admin(django_capture_on_commit_callbacks) -> None:
    operator = member("operator")
    rows.releasable()
    release = making.make()
    address = reverse("admin:datasets_release_recall", args=[release.pk])
    assert "Say in 1 to 300 characters why" in operator.post(address, {"reason": " "}, follow=True).content.decode()
    assert operator.get(address).status_code == 302 and Release.objects.get().state == "published"
    with django_capture_on_commit_callbacks(execute=True):
        page = operator.post(address, {"reason": "Wrong model."}, follow=True).content.decode()
    assert "The release is recalled" in page and "Recall for ever" not in page
    assert AuditEntry.objects.get(action="recall").reason == "Wrong model."


@pytest.mark.parametrize(("group", "sees"), [("moderator", False), ("analyst", True)])
def test_who_may_not_publish(group: str, sees: bool) -> None:
    client = member(group)
    rows.releasable()
    release = making.make()
    assert client.get(LIST).status_code == (200 if sees else 403)
    for address in (NEW, SURVEY, reverse("admin:datasets_release_recall", args=[release.pk])):
        assert client.post(address, {"name": "x", "reason": "x"}).status_code == 403
    assert client.get(NEW).status_code == 403
    assert Release.objects.count() == 1 and Job.objects.count() == 1
    if sees:
        page = client.get(reverse("admin:datasets_release_change", args=[release.pk])).content.decode()
        assert "Recall for ever" not in page
    assert (
        client.post(reverse("admin:datasets_release_change", args=[release.pk]), {"state": "failed"}).status_code == 403
    )
    assert client.post(reverse("admin:datasets_release_delete", args=[release.pk]), {"post": "yes"}).status_code == 403


def test_a_failed_job_shows_its_reason_in_the_admin() -> None:
    operator = member("operator")
    rows.fought()
    release = making.make()
    page = operator.get(reverse("admin:datasets_release_change", args=[release.pk])).content.decode()
    assert re.search(r"No conversation passes the gate: moderation_missing 2", page)
