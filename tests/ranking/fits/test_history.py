"""Ratings over time: one row per publication, thinned by days, and nothing of what is not published."""

from datetime import UTC, datetime, timedelta

import pytest

from arena import clock
from ranking import demo
from ranking.fits import fitting, history
from ranking.fits.boards import Key
from ranking.models import BoardHistory, BoardSnapshot
from tests.ranking import publishing, rows

pytestmark = pytest.mark.django_db
LIVE = Key("live")
BEGIN = datetime(2026, 3, 1, 6, tzinfo=UTC)


def publication(at: datetime, key: Key = LIVE, **ratings: float | None) -> None:
    """A published board on which the models have these ratings."""
    models = [
        {"model": name, "rating": rating, "lower": None, "upper": None, "rank": 1, "votes": 10}
        for name, rating in ratings.items()
    ]
    names = dict(zip(("origin", "category", "controlled"), key.parts, strict=True))
    made = BoardSnapshot.objects.create(**names, votes=10, seed=1, board={"models": models}, published_at=at)
    history.keep(made)


def moments(key: Key = LIVE) -> list[datetime]:
    return list(BoardHistory.objects.of(*key.parts).order_by("published_at").values_list("published_at", flat=True))


def test_every_publication_leaves_a_point_and_a_fit_alone_does_not() -> None:
    strong, weak = publishing.publish((30, 10))
    rows.ballot(strong, weak, wins=5)
    fitting.refit()
    assert BoardHistory.objects.count() == 1
    publishing.refit_and_publish()
    points = history.series(LIVE, [str(strong.pk)], limit=10)[str(strong.pk)]
    boards = BoardSnapshot.objects.published().order_by("published_at")
    figures = [next(one for one in board.board["models"] if one["model"] == str(strong.pk)) for board in boards]
    assert len(points) == 2 and points[0].votes == 42 and points[1].votes == 47
    for point, figure, board in zip(points, figures, boards, strict=True):
        assert point == history.Point(board.published_at, *(figure[name] for name in history.FIGURES))


def test_the_newest_stay_and_of_older_days_the_last(settings: object) -> None:
    settings.BOARD_HISTORY_RECENT, settings.BOARD_HISTORY_DAYS = 3, 30
    for quarter in range(16):  # four days of four publications
        publication(BEGIN + timedelta(hours=6 * quarter), a=1000.0)
    kept = moments()
    assert kept[-3:] == [BEGIN + timedelta(hours=6 * quarter) for quarter in (13, 14, 15)]
    days = [moment.date() for moment in kept]
    assert len(set(days)) == len({(BEGIN + timedelta(hours=6 * q)).date() for q in range(16)})
    for moment in kept[:-3]:
        assert moment.hour == 18, "the last publication of its day"


def test_days_are_bounded_too(settings: object) -> None:
    settings.BOARD_HISTORY_RECENT, settings.BOARD_HISTORY_DAYS = 1, 5
    for day in range(9):
        publication(BEGIN + timedelta(days=day), a=1000.0)
    assert moments() == [BEGIN + timedelta(days=day) for day in range(4, 9)]


def test_boards_are_thinned_each_for_itself(settings: object) -> None:
    settings.BOARD_HISTORY_RECENT = settings.BOARD_HISTORY_DAYS = 1
    others = [Key("live", "en"), Key("live", controlled=True), Key("demo")]
    for key in (LIVE, *others):
        publication(BEGIN, key, a=1000.0)
    publication(BEGIN + timedelta(days=2), LIVE, a=1000.0)
    assert moments() == [BEGIN + timedelta(days=2)]
    assert [moments(key) for key in others] == [[BEGIN]] * 3


def test_a_series_is_of_the_newest_in_its_range_and_skips_boards_without_the_model() -> None:
    publication(BEGIN, a=1000.0)
    publication(BEGIN + timedelta(days=1), a=None, b=990.0)
    publication(BEGIN + timedelta(days=2), a=1010.0, b=980.0)
    told = history.series(LIVE, ["a", "b", "nobody"], limit=10)
    assert [point.rating for point in told["a"]] == [1000.0, None, 1010.0]
    assert [point.rating for point in told["b"]] == [990.0, 980.0] and told["nobody"] == []
    assert [point.rating for point in history.series(LIVE, ["a"], limit=2)["a"]] == [None, 1010.0]
    day = BEGIN.date() + timedelta(days=1)
    (point,) = history.series(LIVE, ["a"], 10, day, day)["a"]
    assert point.published == BEGIN + timedelta(days=1)


def test_only_what_is_published_has_a_history() -> None:
    unpublished = BoardSnapshot.objects.create(origin="live", votes=1, seed=1, board={"models": []})
    with pytest.raises(ValueError, match="published"):
        history.keep(unpublished)


def test_a_wipe_of_the_demo_takes_its_history() -> None:
    publishing.publish((30, 10), origin="demo")
    publication(clock.now(), a=1000.0)
    demo.wipe()
    assert [row.origin for row in BoardHistory.objects.all()] == ["live"]
