"""Boards by category and style control: which there are, that they add up, and that one that fails stops no other."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from arena.models import Contestant, VoteEvent
from ranking import counts, method
from ranking.board.board_format import State
from ranking.counting import labelling
from ranking.fits import candidates, fitting, reading
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot, BoardTrouble, PairCount, VoteStyle
from ranking.votelog import publication
from tests.ranking import rows

pytestmark = pytest.mark.django_db
LIVE, ENGLISH, CODE = Key("live"), Key("live", "en"), Key("live", "code")


@pytest.fixture(autouse=True)
def low(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few votes are enough, and categories are those that the tests name (labelling would find none in their prompts)."""
    settings.CATEGORY_VOTES, settings.STYLE_VOTES, settings.THIN_VOTES = 10, 20, 0  # type: ignore[attr-defined]
    monkeypatch.setattr(labelling, "sweep", lambda: 0)


def ballots(pair: list[Contestant], votes: int, origin: str = "live", **fields: object) -> list[VoteEvent]:
    """Votes without a visitor; every third is a tie, the first model wins twice as often as it loses."""
    choices = ("a", "a", "b", "tie", "a", "tie")
    made = [
        VoteEvent(
            contestant_a=pair[n % 2], contestant_b=pair[1 - n % 2], choice=choices[n % 6], origin=origin,
            **{name: value(n) if callable(value) else value for name, value in fields.items()},
        )
        for n in range(votes)
    ]  # fmt: skip
    return VoteEvent.objects.bulk_create(made)


def dress(votes: list[VoteEvent]) -> None:
    """The longer answer wins, mostly."""
    for n, vote in enumerate(votes):
        long, short = (300 + n, 100) if (vote.choice == "a") != (n % 5 == 0) else (100, 300 + n)
        VoteStyle.objects.create(
            event=vote, length_a=long, length_b=short, headers_a=n % 3, headers_b=n % 2,
            lists_a=n % 4, lists_b=n % 3, bold_a=n % 5, bold_b=n % 7,
        )  # fmt: skip


def newest(key: Key) -> BoardSnapshot:
    return BoardSnapshot.objects.filter(**key.columns).latest("fitted_at", "id")


def test_boards_are_of_categories_with_votes_enough_and_style_where_it_is_known() -> None:
    pair = rows.contestants(2)
    dress(ballots(pair, 24, categories=["en"]))
    ballots(pair, 9, categories=["code"])
    ballots(pair, 12, origin="import:x")
    ballots(pair, 21, categories=["long"])  # none of them with style counts
    made = {Key.of(snapshot): snapshot for snapshot in fitting.refit()}
    styled = {Key("live", "", True), Key("live", "en", True)}
    assert set(made) == {LIVE, ENGLISH, Key("live", "long"), Key("import:x")} | styled
    assert [made[key].votes for key in (LIVE, ENGLISH, Key("live", "", True))] == [54, 24, 24]
    assert made[Key("live", "", True)].board["style"]["votes"] == 24
    assert fitting.refit() == []
    ballots(pair, 1, categories=["code"])
    assert CODE in [Key.of(snapshot) for snapshot in fitting.refit()]


def test_categories_that_part_the_votes_add_up_to_the_whole_board() -> None:
    pair = rows.contestants(2)
    for number, name in ((30, "en"), (18, "de"), (12, "fr")):
        ballots(pair, number, categories=[name])
    fitting.refit()
    parts = [newest(Key("live", name)).board for name in ("en", "de", "fr")]
    whole = newest(LIVE).board
    for model in whole["models"]:
        of_parts = [one for board in parts for one in board["models"] if one["model"] == model["model"]]
        for name in ("votes", "wins", "losses", "ties", "both_bad"):
            assert model[name] == sum(one[name] for one in of_parts), name
    assert sum(newest(Key("live", name)).votes for name in ("en", "de", "fr")) == newest(LIVE).votes == 60


def test_a_category_that_loses_its_votes_is_fitted_on() -> None:
    pair = rows.contestants(2)
    votes = [rows.cast(*pair, "a", categories=["en"]) for _ in range(11)]
    rows.cast(*pair, "b", categories=["en"])
    fitting.refit()
    assert newest(ENGLISH).votes == 12
    for vote in votes[:5]:
        rows.follow(vote, "recategorise", categories=["code"])
    fitting.refit()
    assert newest(ENGLISH).votes == 7 and not BoardSnapshot.objects.filter(**CODE.columns).exists()


def test_votes_of_other_categories_read_no_category(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24, categories=["en"])
    fitting.refit()
    read, seen = reading.read, []
    monkeypatch.setattr(reading, "read", lambda key, **how: seen.append(key) or read(key, **how))
    ballots(pair, 6)
    fitting.refit()
    assert seen == [LIVE]
    ballots(pair, 6, categories=["en"])
    fitting.refit()
    assert seen == [LIVE, LIVE, ENGLISH]


def test_a_vote_that_changes_nothing_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24)
    fitting.refit()
    before = newest(LIVE)
    ballots(pair, 1, ranked=False)
    assert fitting.refit() == []
    monkeypatch.setattr(reading, "read", lambda key, **how: 1 / 0)
    assert fitting.refit() == [] and not BoardTrouble.objects.exists()
    after = newest(LIVE)
    assert after.pk == before.pk and after.board != before.board
    assert after.board | {"marker": 0} == before.board | {"marker": 0}


def test_what_nobody_excluded_is_published_without_reading_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    ballots(pair, 24, categories=["en"])
    fitting.refit()
    ballots(pair, 6, categories=["en"])
    fitting.refit()
    monkeypatch.setattr(reading, "read", lambda key, **how: 1 / 0)
    assert sorted(snapshot.category for snapshot in publication.publish(at_once=True)) == ["", "en"]
    assert publication.publish(at_once=True) == [] and not BoardTrouble.objects.exists()


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


def test_judges_alone_change_the_board() -> None:
    """The same counts by other hands are other intervals."""
    pair = rows.contestants(2)
    ballots(pair, 60, origin="import:one", judge=lambda n: f"{n % 30:032}")
    ballots(pair, 60, origin="import:two", judge=lambda n: f"{n % 25:032}")
    one, two = fitting.refit()
    assert one.board["pairs"] == two.board["pairs"] and one.board["fingerprint"] != two.board["fingerprint"]
    assert [board.board["clusters"]["judges"] for board in (one, two)] == [30, 25]


@pytest.mark.parametrize("bound", [0, 1000])
def test_judges_come_from_the_counts_where_there_are_too_many_votes_to_read(bound: int, settings: object) -> None:
    settings.STREAM_VOTES = bound  # type: ignore[attr-defined]
    pair = rows.contestants(2)
    ballots(pair, 90, judge=lambda n: f"{n % 30:032}", categories=["en"])
    fitting.refit()
    assert newest(LIVE).board["clusters"]["judges"] == 30
    assert newest(ENGLISH).board["method"]["level"] == ("judge" if bound else "battle")


def test_a_thin_category_follows_the_overall_board_and_a_large_one_does_not(settings: object) -> None:
    settings.THIN_VOTES = 20  # type: ignore[attr-defined]
    pair = rows.contestants(2)
    ballots(pair, 24, categories=["en"])
    ballots(pair, 12, categories=["code"])
    fitting.refit()
    assert newest(CODE).board["shrinkage"] and not newest(ENGLISH).board["shrinkage"]
    ballots(pair, 6)
    made = [Key.of(snapshot) for snapshot in fitting.refit()]
    assert CODE in made and LIVE in made and ENGLISH not in made
    assert newest(CODE).votes == 12


def test_the_fingerprint_is_of_counts_judges_style_and_method(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = rows.contestants(2)
    dress(ballots(pair, 24))
    counts.absorb()
    styled, before = Key("live", controlled=True), reading.read(LIVE).fingerprint
    before_styled = reading.read(styled).fingerprint
    assert reading.read(LIVE).fingerprint == before
    VoteStyle.objects.filter(event=VoteEvent.objects.first()).update(bold_b=99)
    assert reading.read(LIVE).fingerprint == before and reading.read(styled).fingerprint != before_styled
    monkeypatch.setattr(method, "VERSION", method.VERSION + 1)
    assert reading.read(LIVE).fingerprint != before


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


def test_since_when_a_model_leads_is_told_by_publications_alone() -> None:
    first, second = rows.contestants(2)
    rows.ballot(first, second, wins=150, losses=20)
    fitting.refit()
    one = newest(LIVE)
    assert one.published_at and one.board["state"] == State.FITTED
    assert one.board["sure"]["since"] == one.published_at.isoformat(timespec="seconds")
    assert one.board["sure"]["confirmed"] and one.board["sure"]["confirmed_at"] == one.board["sure"]["since"]
    rows.ballot(first, second, wins=5)
    fitting.refit()
    assert newest(LIVE).board["sure"]["since"] is None, "operators' boards tell no moment"
    publication.publish(at_once=True)
    two = newest(LIVE).board["sure"]
    assert (two["since"], two["looks"]) == (one.board["sure"]["since"], 2)
    rows.ballot(second, first, wins=400)
    fitting.refit()
    publication.publish(at_once=True)
    three = newest(LIVE)
    assert three.board["models"][three.board["sure"]["leader"]]["model"] == str(second.pk)
    assert three.published_at and three.board["sure"]["since"] == three.published_at.isoformat(timespec="seconds")
    assert three.board["sure"]["looks"] == 3
