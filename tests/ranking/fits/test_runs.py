"""Runs of fits: what stays of one for operators, and that a killed one is begun again without waiting for the schedule."""

import threading
from pathlib import Path
from typing import Any

import pytest

from arena import clock
from ranking import counts
from ranking.fits import candidates, fitting, runs
from ranking.imports import importing
from ranking.models import BoardSnapshot, FitRun
from ranking.tasks import resume
from tests.ranking import rows
from tests.ranking.side_by_side import kill_an_absorber, threads


@pytest.mark.django_db
def test_the_row_says_when_how_long_and_of_how_many_boards(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    a, b = rows.contestants(2)
    for origin in ("live", "demo", "import:x"):
        rows.ballot(a, b, wins=3, losses=2, origin=origin)
    broken = fitting.build

    def build(read: Any) -> dict[str, Any]:
        if read.votes == 6:
            raise ValueError("singular")
        return broken(read)

    rows.ballot(a, b, wins=1, origin="import:x")
    monkeypatch.setattr(fitting, "build", build)
    begin = clock.now()
    fitting.refit()
    run = FitRun.objects.get()
    assert (run.looked, run.fitted, run.failed, run.waiting, run.interrupted, run.error) == (3, 2, 1, 0, 0, "")
    assert run.ended_at and begin < run.begun_at < run.ended_at < clock.now()
    settings.REFIT_BUDGET_S = 0
    fitting.refit()
    run = FitRun.objects.get()
    assert (run.looked, run.fitted, run.waiting) == (1, 0, 2), "one board is looked at in any case"


@pytest.mark.django_db
def test_a_run_that_fails_says_why_and_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise ValueError("of a visitor")

    monkeypatch.setattr("ranking.agreement.refresh", fails)
    with pytest.raises(ValueError):
        fitting.refit()
    run = FitRun.objects.get()
    assert run.ended_at and "ValueError" in run.error and "visitor" not in run.error
    monkeypatch.undo()
    assert resume() == 0 and FitRun.objects.get().error == "" and FitRun.objects.get().interrupted == 1
    assert not runs.broken_off()


@pytest.mark.django_db(transaction=True)
def test_an_imports_fit_that_is_killed_is_begun_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("model_a,model_b,winner\n" + "x,y,model_a\n" * 4 + "y,x,model_a\n" * 3)
    origin = importing.import_votes(file, name="killed").origin
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_end", lambda account: None)  # whoever is killed says nothing
        kill_an_absorber(counts.take_lock, fitting.refit)
    assert FitRun.objects.get().ended_at is None and not BoardSnapshot.objects.exists()
    assert resume() == 1
    board = BoardSnapshot.objects.get(origin=origin)
    assert board.votes == 7 and board.published_at
    assert FitRun.objects.get().ended_at and resume() == 0


@pytest.mark.django_db(transaction=True)
def test_a_run_that_goes_on_is_left_alone_and_one_beside_it_leaves_its_row() -> None:
    begun, end = threading.Event(), threading.Event()

    def long_run() -> None:
        with runs.noted() as account:
            begun.set()
            end.wait(20)
            account.looked = 5

    def others() -> None:
        assert begun.wait(20)
        try:
            assert not runs.broken_off()
            with runs.noted() as account:
                account.looked = 9
            assert FitRun.objects.get().ended_at is None
        finally:
            end.set()

    threads(long_run, others)
    assert FitRun.objects.get().looked == 5 and FitRun.objects.get().ended_at


@pytest.mark.django_db
def test_after_some_killed_runs_in_a_row_only_the_schedule_tries(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FIT_RETRIES = 2
    monkeypatch.setattr(candidates, "wanted", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(runs, "_end", lambda account: runs._leave())  # as if nothing ran after the kill
    for killed_before, begin in enumerate((fitting.refit, resume, resume)):
        with pytest.raises(KeyboardInterrupt):
            begin()
        assert FitRun.objects.get().interrupted == killed_before
    assert resume() == 0, "it is not begun any more"
    monkeypatch.undo()
    fitting.refit()
    assert FitRun.objects.get().interrupted == 3 and FitRun.objects.get().ended_at and not runs.broken_off()
    fitting.refit()
    assert FitRun.objects.get().interrupted == 0
