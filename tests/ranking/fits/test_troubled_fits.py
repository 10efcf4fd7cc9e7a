"""A fit that fails, is killed, overtaken or out of time: said, and no other board and no published one suffers."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from ranking import counts
from ranking.fits import candidates, fitting, reading
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot, BoardTrouble, PairCount
from ranking.votelog import publication
from tests.ranking import rows
from tests.ranking.fits.ballots import ballots, newest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("low")]
LIVE, ENGLISH, CODE = Key("live"), Key("live", "en"), Key("live", "code")


@pytest.mark.django_db(transaction=True)
def test_a_refit_whose_connection_is_killed_leaves_the_last_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24)
    fitting.refit()
    before = list(BoardSnapshot.objects.values_list("pk", flat=True))
    ballots(pair, 6)
    store = fitting.store

    def killed(*given: object, **more: object) -> BoardSnapshot:
        store(*given, **more)  # type: ignore[arg-type]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("unreachable")

    monkeypatch.setattr(fitting, "store", killed)
    fitting.refit()
    assert list(BoardSnapshot.objects.values_list("pk", flat=True)) == before
    assert newest(LIVE).votes == 24 and "terminat" in BoardTrouble.objects.get().error
    monkeypatch.setattr(fitting, "store", store)
    fitting.refit()
    assert newest(LIVE).votes == 30 and not BoardTrouble.objects.exists()


def test_a_board_that_fails_is_noted_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, client: Client
) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24, categories=["en"])
    ballots(pair, 12, origin="import:x")
    fitting.refit()
    build = fitting.build

    def breaks(read: reading.Read) -> dict:
        if read.votes == 25:
            raise ArithmeticError("the numbers are against us")
        return build(read)

    monkeypatch.setattr(fitting, "build", breaks)
    ballots(pair, 1, origin="live")
    ballots(pair, 3, origin="import:x")
    assert [Key.of(snapshot) for snapshot in fitting.refit()] == [Key("import:x")]
    assert fitting.refit() == []
    (trouble,) = BoardTrouble.objects.all()
    assert (trouble.origin, trouble.times, trouble.error) == ("live", 2, "ArithmeticError: the numbers are against us")
    assert "the live board could not be fitted" in caplog.text
    client.force_login(User.objects.create_superuser("root", password="x"))
    told = client.get("/admin/ranking/boardsnapshot/").content.decode()
    assert "The board live could not be fitted since" in told and "the numbers are against us" in told
    assert newest(LIVE).votes == 24, "the last board stays"
    monkeypatch.setattr(fitting, "build", build)
    assert len(fitting.refit()) == 1 and not BoardTrouble.objects.exists()


def test_a_publication_survives_a_board_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24, categories=["en"])
    fitting.refit()
    ballots(pair, 6, categories=["en"])
    build = fitting.build
    monkeypatch.setattr(fitting, "build", lambda read: 1 / 0 if not read.inputs.judges else build(read))
    monkeypatch.setattr(fitting.reading, "_by_judge", lambda models, columns: None)
    assert publication.publish(at_once=True) == [] and BoardTrouble.objects.count() == 2
    monkeypatch.undo()
    made = publication.publish(at_once=True)
    assert sorted(snapshot.category for snapshot in made) == ["", "en"]


def test_when_the_time_is_spent_the_boards_that_waited_longest_come_next(settings: object) -> None:
    settings.REFIT_BUDGET_S = 0  # type: ignore[attr-defined]
    pair = rows.contestants(2)
    for name in ("de", "en", "fr"):
        ballots(pair, 12, categories=[name])
    counts.absorb()
    assert candidates.wanted() == [LIVE, *(Key("live", name) for name in ("de", "en", "fr"))]
    assert [Key.of(snapshot) for snapshot in fitting.refit()] == [LIVE]
    settings.REFIT_BUDGET_S = 100  # type: ignore[attr-defined]
    fitting.refit()
    assert BoardSnapshot.objects.filter(origin="live").count() == 4


def test_a_wipe_in_the_middle_of_a_fit_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24, origin="demo")
    counts.absorb()
    build = fitting.build

    def wiped_meanwhile(read: reading.Read) -> dict:
        PairCount.objects.filter(origin="demo").delete()
        return build(read)

    monkeypatch.setattr(fitting, "build", wiped_meanwhile)
    assert fitting.fit(Key("demo")) is None and not BoardSnapshot.objects.exists()


def test_of_two_fits_at_a_time_one_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24)
    counts.absorb()
    build, inner = fitting.build, []

    def overtaken(read: reading.Read) -> dict:
        monkeypatch.setattr(fitting, "build", build)
        inner.append(fitting.fit(LIVE))
        return build(read)

    monkeypatch.setattr(fitting, "build", overtaken)
    assert fitting.fit(LIVE) is None
    assert [snapshot.pk for snapshot in BoardSnapshot.objects.all()] == [inner[0].pk]
