"""What may happen while a release is written: it is all or nothing, and holds nothing that was taken back."""

import hashlib
import resource
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from arena import clock, jobs, voiding
from arena.models import Battle, Contestant, Conversation, Message, Reply, Report
from arena.moderation import verdicts
from datasets import export, publishing, releases, storage
from datasets.models import Release, ReleasedConversation, ReleaseFile
from datasets.public_ids import public_id
from datasets.reasons import Drop
from tests import factories
from tests.datasets import making, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "releases_dir")]


def _erase(battle: Battle) -> None:
    Conversation.objects.filter(pk=battle.conversation_b_id).update(erased_at=clock.now())


def _withdraw(battle: Battle) -> None:
    factories.consent(battle.visitor, publish=False)


def _delete_person(battle: Battle) -> None:
    battle.visitor.delete()


def _block(battle: Battle) -> None:
    rows.look(Message.objects.get(conversation=battle.conversation_a_id, position=1), "human_blocked")


def _void(battle: Battle) -> None:
    Battle.objects.filter(pk=battle.pk).update(state="void", void_reason="flagged")


def _report(battle: Battle) -> None:
    Report.objects.create(reply=Reply.objects.filter(turn__battle=battle).first(), reason="personal")


def _find(battle: Battle) -> None:
    rows.enrich(rows.messages(battle)[0], pii=[["email", 0, 3]], created_at=clock.now())


def _hide(battle: Battle) -> None:
    hidden = {"visibility": "anonymous", "codename": "Olive", "anonymous_until": clock.now() + timedelta(days=9)}
    Contestant.objects.filter(pk=battle.revision_b.contestant_id).update(**hidden)


def _void_vote(battle: Battle) -> None:
    voiding.void_battle(battle, User.objects.create(username="operator"), "Bought.")


MEANWHILE = [
    (_report, Drop.REPORTED),
    (_find, Drop.PERSONAL_DATA),
    (_void_vote, Drop.VOTE_VOIDED),
    (_erase, Drop.ERASED),
    (_withdraw, Drop.WITHDRAWN),
    (_delete_person, Drop.NO_VISITOR),
    (_block, Drop.BLOCKED),
    (_void, Drop.VOID),
]


@pytest.mark.parametrize(("happens", "why"), MEANWHILE)
def test_10_what_is_taken_back_while_files_are_written_is_not_in_them(
    happens: Callable[[Battle], None], why: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are finished, then it happens: they are written again without both sides of that battle."""
    stays, goes = rows.releasable(), rows.releasable()
    flush, done = storage.flush, []

    def flushed_and_then(folder: Path) -> None:
        flush(folder)
        if not done:
            done.append(happens(goes))

    monkeypatch.setattr(storage, "flush", flushed_and_then)
    release = making.make()
    assert release.state == "published" and release.dropped == {str(why): 2}
    ids = {public_id(stays.conversation_a_id), public_id(stays.conversation_b_id)}
    assert {row["conversation_id"] for row in making.jsonl(release)} == ids
    assert set(ReleasedConversation.objects.values_list("public_id", flat=True)) == ids
    assert pq.read_table(making.data(release)[0]).num_rows == 2 and release.facts["input"] == 4


def test_a_codename_that_begins_meanwhile_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one battle, so nothing is left to release."""
    battle = rows.releasable()
    flush = storage.flush
    monkeypatch.setattr(storage, "flush", lambda folder: (flush(folder), _hide(battle)))
    release = making.make()
    assert release.state == "failed" and release.dropped == {"codename": 2}


def test_10_when_all_is_taken_back_there_is_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    battle = rows.releasable()
    flush = storage.flush
    monkeypatch.setattr(storage, "flush", lambda folder: (flush(folder), _erase(battle)))
    release = making.make()
    assert release.state == "failed" and release.dropped == {"erased": 2}
    assert not ReleasedConversation.objects.exists() and not any(storage.root().iterdir())


def test_a_new_policy_meanwhile_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    rows.releasable()
    release = releases.start("first", None)
    monkeypatch.setattr(verdicts, "current_policy", lambda: "next")
    export.run(release.job_id)
    release.refresh_from_db()
    assert release.state == "failed" and "policy changed" in making.job(release).message


def test_a_full_disk_is_a_clear_failure(settings: Settings) -> None:
    """The kernel refuses to let any file of this process grow beyond 30 kB, in the middle of a shard."""
    settings.RELEASE_GROUP_ROWS = 1
    for number in range(40):
        rows.releasable(
            a=hashlib.sha512(b"a%d" % number).hexdigest() * 5, b=hashlib.sha512(b"b%d" % number).hexdigest()
        )
    release = releases.start("first", None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        export.run(release.job_id)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    release.refresh_from_db()
    assert release.state == "failed" and making.job(release).message == export.FULL
    assert not any(storage.root().iterdir()) and not ReleaseFile.objects.exists()


def test_a_crash_before_the_commit_leaves_nothing_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename has happened, the transaction has not: the folder belongs to nobody and is removed at the next start."""
    rows.releasable()
    move = storage.move_home

    def moved_and_then(folder: Path, name: str) -> None:
        move(folder, name)
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing.storage, "move_home", moved_and_then)
    release = releases.start("first", None)
    with pytest.raises(KeyboardInterrupt):
        export.run(release.job_id)
    assert storage.home("first").exists() and not ReleaseFile.objects.exists()
    monkeypatch.setattr(publishing.storage, "move_home", move)
    Release.objects.update(state="failed")
    releases.jobs.fail(release.job_id, "dead")
    assert releases.remove_leftovers() == 1 and not storage.home("first").exists()
    assert making.make("first").state == "published", "the name of a failed release is free again"


def test_a_cancelled_job_publishes_nothing_and_leaves_the_next_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of its progress while it publishes, so it cannot hear that its row is gone."""
    rows.releasable()
    first, flush, kept = releases.start("first", None), storage.flush, []

    def meanwhile(folder: Path) -> None:
        flush(folder)
        if not kept:
            jobs.cancel(making.job(first), None)
            kept.append(storage.workplace(releases.start("first", None).job_id))

    monkeypatch.setattr(storage, "flush", meanwhile)
    export.run(first.job_id)
    second = Release.objects.get()
    assert (second.state, ReleaseFile.objects.count()) == ("building", 0) and second.job_id != first.job_id
    assert kept[0].is_dir() and not storage.home("first").exists()
    export.run(second.job_id)
    second.refresh_from_db()
    assert second.state == "published" and second.conversations == 2


def test_a_job_that_is_cancelled_at_the_end_publishes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows.releasable()
    first, flush = releases.start("first", None), storage.flush
    monkeypatch.setattr(storage, "flush", lambda folder: (flush(folder), jobs.cancel(making.job(first), None)))
    export.run(first.job_id)
    first.refresh_from_db()
    assert first.state == "failed" and not ReleaseFile.objects.exists() and not storage.home("first").exists()
    assert making.job(first).message == "Cancelled by system."


def test_a_worker_with_another_key_publishes_nothing(settings: Settings) -> None:
    """The page that starts a release asks the same of its own process, which may have been given another file."""
    rows.releasable()
    making.make("first")
    second = releases.start("second", None)
    settings.RELEASE_KEY = "another key"
    export.run(second.job_id)
    second.refresh_from_db()
    assert second.state == "failed" and "AGON_RELEASE_KEY of this worker" in making.job(second).message
