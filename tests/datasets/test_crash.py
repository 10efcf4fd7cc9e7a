"""What a release survives: kill -9 in the middle of a shard, and people who take back what is being published."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from arena import clock, erasure
from arena.models import Consent, Job
from datasets import export, publishing, releases, removals, storage
from datasets.models import Release, ReleasedConversation, ReleaseFile
from datasets.public_ids import public_id
from tests import factories
from tests.datasets import making, rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]
ROOT = Path(__file__).resolve().parents[2]
KILLED_AFTER_TWO_GROUPS = """
import os, signal, sys, uuid, django
django.setup()
from datasets import export, parquet
write, written = parquet.ParquetFile.write, []
def killed(self, rows):
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(write(self, rows))
    return written[-1]
parquet.ParquetFile.write = killed
export.run(uuid.UUID(sys.argv[1]))
"""


def run_and_die(release: Release, folder: Path) -> None:
    """The job in a process of its own, which is gone before it has written its third row group."""
    params = connection.get_connection_params()
    dsn = " ".join(f"{key}={params[key]}" for key in ("host", "port", "dbname", "user", "password") if params.get(key))
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "arena.settings",
        "DATABASE_URL": dsn,
        "AGON_RELEASES_DIR": str(folder),
        "AGON_RELEASE_GROUP_ROWS": "1",
    }
    code = [sys.executable, "-c", KILLED_AFTER_TWO_GROUPS, str(release.job_id)]
    done = subprocess.run(code, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def test_15_a_crash_in_a_shard_leaves_nothing_to_read_and_the_job_says_so(releases_dir: Path) -> None:
    for _ in range(3):
        rows.releasable()
    release = releases.start("first", None)
    run_and_die(release, releases_dir)
    assert list(releases_dir.glob(".building-*/out/data/*")), "it died in the middle of a file"
    assert not storage.home("first").exists()
    assert not ReleaseFile.objects.exists() and not ReleasedConversation.objects.exists()
    client = Client()
    assert client.get("/datasets/first/").status_code == 404
    assert client.get("/datasets/first/data/train-00000-of-00001.parquet").status_code == 404

    Job.objects.update(beat_at=clock.now() - timedelta(minutes=10))  # nobody has heard of the worker for a while
    releases.settle()
    release.refresh_from_db()
    assert release.state == "failed" and making.job(release).message == "Its worker stopped. Start it again."
    again = making.make("first")
    assert again.state == "published" and again.conversations == 6
    assert [path.name for path in releases_dir.iterdir()] == ["first"], "what the dead one had left is gone"


def _withdraw(person: object) -> None:
    Consent.objects.create(visitor=person, terms=Consent.objects.first().terms, publish=False)


@pytest.mark.parametrize("takes_back", [_withdraw, erasure.erase], ids=["withdraws", "deletes"])
def test_10_who_takes_back_in_the_last_moment_waits_and_is_on_the_list(
    takes_back: Callable[[object], object], releases_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are checked and about to be moved: from here on it is a removal, never a race."""
    battle = rows.releasable()
    person, name = battle.visitor, public_id(battle.conversation_a_id)
    reached, waited = threading.Event(), []
    move = storage.move_home

    def slow_move(folder: Path, name: str) -> None:
        reached.set()
        time.sleep(1.0)
        waited.append(not taken_back.is_set())
        move(folder, name)

    monkeypatch.setattr(publishing.storage, "move_home", slow_move)
    taken_back = threading.Event()

    def take_back() -> None:
        try:
            reached.wait(20)
            takes_back(person)
            taken_back.set()
        finally:
            connections.close_all()

    thread = threading.Thread(target=take_back)
    thread.start()
    release = making.make()
    thread.join(20)
    assert waited == [True] and taken_back.is_set()
    assert release.state == "published" and name in {row["conversation_id"] for row in making.jsonl(release)}
    assert name in removals.public_ids()


def test_a_table_that_stays_busy_ends_the_job_and_stops_nobody(
    releases_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "LOCK_MS", 50)
    monkeypatch.setattr(publishing, "LOCK_TRIES", 2)
    rows.releasable()
    release = releases.start("first", None)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                factories.consent(factories.visitor())
                holding.set()
                done.wait(20)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(20)
    with pytest.raises(Exception, match="lock timeout"):
        export.run(release.job_id)
    done.set()
    thread.join()
    release.refresh_from_db()
    assert release.state == "failed" and "OperationalError" in making.job(release).message
    assert not any(releases_dir.iterdir()) and not ReleaseFile.objects.exists()
