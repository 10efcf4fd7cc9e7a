"""Fits: one origin per board, a snapshot only when counts changed, bounded history, and an announcement."""

import gc
import subprocess
import sys

import pytest
import redis
from django.core.management import call_command

from arena.live import broadcast
from arena.models import VoteEvent
from ranking import counts, demo
from ranking.fits import fitting, reading
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot, PairCount
from ranking.tasks import refit
from tests.ranking import rows


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Messages that would go to every open socket; the way there is tested in tests/arena/test_live.py."""
    sent: list[dict] = []
    monkeypatch.setattr(broadcast, "send", lambda group, message: sent.append(message) or True)
    return sent


@pytest.mark.django_db
def test_an_empty_installation_publishes_nothing(announced: list[dict]) -> None:
    assert fitting.refit() == [] and announced == []


@pytest.mark.django_db
def test_live_and_demo_votes_never_share_a_board(announced: list[dict]) -> None:
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=6, losses=2, origin="live")
    rows.ballot(a, b, wins=1, losses=9, origin="demo")
    live, demo_board = fitting.refit()
    assert (live.origin, live.votes, demo_board.origin, demo_board.votes) == ("live", 8, "demo", 10)
    assert [snapshot.board["models"][0]["model"] for snapshot in (live, demo_board)] == [str(a.id), str(b.id)]
    assert [message["origin"] for message in announced] == ["live", "demo"]


@pytest.mark.django_db
def test_imported_votes_have_a_board_of_their_own_that_is_public_at_once(announced: list[dict]) -> None:
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=6, losses=2, origin="import:x")
    (board,) = fitting.refit()
    assert (board.origin, board.votes) == ("import:x", 8) and board.published_at
    assert sum(rows.stored("import:x").values()) == 8


@pytest.mark.django_db
def test_a_board_whose_fit_ended_before_it_was_published_is_published_by_the_next_run(announced: list[dict]) -> None:
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=6, losses=2, origin="import:x")
    counts.absorb()
    assert fitting.fit(Key("import:x"))  # and the worker is killed
    rows.ballot(a, b, wins=1, origin="import:x")
    counts.absorb()
    assert fitting.fit(Key("import:x"))  # and again: only the newer one is to be public
    rows.ballot(a, b, wins=1, origin="import:y")
    (other,) = fitting.refit()
    assert other.published_at
    assert [(one["origin"], one["votes"]) for one in announced] == [("import:x", 9), ("import:y", 1)]
    assert fitting.refit() == [] and len(announced) == 2


@pytest.mark.django_db
def test_a_snapshot_is_stored_only_when_counts_have_changed(announced: list[dict]) -> None:
    a, b = rows.contestants(2)
    cast = rows.cast(a, b, "a")
    rows.ballot(a, b, wins=3, losses=3)
    assert refit() == 1 and refit() == 0
    rows.cast(a, b, "a", ranked=False)
    assert refit() == 0
    rows.follow(cast, "void")
    assert refit() == 1
    assert [snapshot.votes for snapshot in BoardSnapshot.objects.order_by("fitted_at")] == [7, 6]


@pytest.mark.django_db
def test_a_new_method_refits_the_same_counts(announced: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=3, losses=3)
    fitting.refit()
    monkeypatch.setattr("ranking.method.VERSION", 1000)
    assert [snapshot.board["version"] for snapshot in fitting.refit()] == [1000]


@pytest.mark.django_db
def test_the_stored_seed_rebuilds_the_stored_board(announced: list[dict]) -> None:
    from ranking.board.build import build
    from ranking.board.inputs import Inputs

    models = rows.contestants(3)
    for better, worse in ((0, 1), (1, 2), (0, 2)):
        rows.ballot(models[better], models[worse], wins=7, losses=3, ties=2)
    (snapshot,) = fitting.refit()
    tally = reading.read(Key("live")).inputs.tally
    rebuilt = build(Inputs(tally=tally, seed=snapshot.seed, replicates=snapshot.board["method"]["replicates"]))
    since = {name: snapshot.board["sure"][name] for name in ("since", "looks")}  # of the publication, not of the votes
    assert rebuilt | {"sure": rebuilt["sure"] | since} == {name: snapshot.board[name] for name in rebuilt}


@pytest.mark.django_db
def test_history_is_bounded_per_origin(announced: list[dict], settings: object) -> None:
    settings.BOARD_SNAPSHOTS_KEPT = 2  # type: ignore[attr-defined]
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=1, losses=1, origin="demo")
    for _ in range(4):
        rows.ballot(a, b, wins=1, losses=1)
        fitting.refit()
    assert BoardSnapshot.objects.filter(origin="demo").count() == 1
    live = BoardSnapshot.objects.filter(origin="live").order_by("votes")
    assert list(live.values_list("votes", flat=True)) == [2, 6, 8], "the published one is not pushed out by fits"
    assert list(live.published().values_list("votes", flat=True)) == [2]


@pytest.mark.django_db
def test_when_every_vote_was_voided_the_board_is_fitted_empty(announced: list[dict]) -> None:
    a, b = rows.contestants(2)
    cast = rows.cast(a, b, "a")
    fitting.refit()
    rows.follow(cast, "void")
    (snapshot,) = fitting.refit()
    assert (snapshot.votes, snapshot.board["state"]) == (0, "empty")


@pytest.mark.django_db
def test_wiping_the_demo_leaves_the_live_board_alone(announced: list[dict]) -> None:
    a, b = rows.contestants(2)
    rows.cast(a, b, "a", origin="demo")
    rows.ballot(a, b, wins=1, losses=9, origin="demo")
    rows.cast(a, b, "a")
    fitting.refit()
    assert demo.wipe() == 1
    for model in (VoteEvent, PairCount, BoardSnapshot):
        assert list(model.objects.values_list("origin", flat=True)) == ["live"]
    assert demo.wipe() == 0
    a.refresh_from_db()


@pytest.mark.django_db
def test_a_lost_broadcast_does_not_lose_the_board(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Away:
        async def group_send(self, group: str, message: dict) -> None:
            raise redis.ConnectionError("connection refused")

    monkeypatch.setattr(broadcast, "get_channel_layer", Away)
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=3, losses=3)
    assert len(fitting.refit()) == 1
    assert "not broadcast (board)" in caplog.text


@pytest.mark.django_db
def test_the_refit_command_says_what_it_did(announced: list[dict], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=3, losses=3)
    call_command("refit")
    call_command("refit")
    assert capsys.readouterr().out.splitlines() == [
        "fitted live: 6 votes, published",
        "nothing has changed since the last boards",
    ]


@pytest.mark.parametrize(
    "modules", ["arena.asgi, ranking.pages.views, ranking.admin", "arena.celery, arena.tasks, ranking.tasks"]
)
def test_web_and_generate_never_load_numpy(modules: str) -> None:
    """A process of its own: what a worker loads when it starts, without the batch jobs' own imports."""
    script = f"import os, sys, django; django.setup(); import {modules}; print(*sorted({{'numpy', 'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr[-2000:]


def test_the_batch_worker_loads_no_more_of_scipy_than_its_fits_need() -> None:
    """scipy.stats alone would take 35 MB in each of its processes."""
    parts = "ranking.board.build, ranking.sampling, ranking.fits.topics, ranking.agreement, ranking.guard.watch_rows"
    watching = "ranking.detectors.watching, ranking.estimators.discrimination, ranking.estimators.agreement"
    script = f"import sys, django; django.setup(); import {parts}, {watching}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"scipy.special", "numpy"} <= set(done.stdout.split())
    assert not {"scipy.stats", "scipy.optimize", "statsmodels", "pandas"} & set(done.stdout.split())


def test_a_workers_children_share_what_was_loaded_before_the_fork() -> None:
    """Objects that no collection touches keep their pages shared: 36 MB less in a fresh worker-batch."""
    from celery.signals import worker_before_create_process

    import arena.celery  # noqa: F401 (connects its receivers)

    try:
        worker_before_create_process.send(sender=None)
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


def test_everything_the_clock_starts_is_a_task_and_fits_have_their_own_queue() -> None:
    from django.conf import settings

    from arena.celery import app

    app.loader.import_default_modules()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)
    assert app.amqp.router.route({}, "ranking.tasks.refit")["queue"].name == "rank"


def test_what_the_clock_starts_does_not_pile_up_while_no_worker_reads() -> None:
    from django.conf import settings

    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert 0 < entry["options"]["expires"] <= max(entry["schedule"], 10), name
