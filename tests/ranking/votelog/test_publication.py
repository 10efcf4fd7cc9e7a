"""What the public sees, and since when: live boards on a schedule, all others with every fit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from arena import clock
from arena.live import broadcast
from arena.models import AuditEntry, Contestant
from ranking.fits import fitting
from ranking.models import BoardSnapshot
from ranking.pages import published
from ranking.tasks import publish, publish_now
from ranking.votelog import publication
from ranking.votelog.models import PublishingState
from tests.ranking import rows

NOON = datetime(2026, 11, 26, 12, 0, 5, tzinfo=UTC)
At = Callable[[timedelta], None]

pytestmark = pytest.mark.django_db


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    def move(later: timedelta) -> None:
        monkeypatch.setattr(clock, "now", lambda: NOON + later)

    move(timedelta())
    return move


def test_a_moment_is_served_once_also_when_it_was_served_to_the_second(settings: object) -> None:
    settings.PUBLISH_S = 21_600  # type: ignore[attr-defined]
    noon = NOON.replace(second=0)
    PublishingState.objects.create(id=1, served=noon)
    assert not publication.due(noon) and not publication.due(noon + timedelta(hours=5))
    assert publication.due(noon + timedelta(hours=6))


@pytest.fixture(autouse=True)
def announced(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    sent: list[dict] = []
    monkeypatch.setattr(broadcast, "send", lambda group, message: sent.append(message) or True)
    return sent


@pytest.fixture
def pair(at: At) -> list[Contestant]:
    """Two models whose first live board is out."""
    pair = rows.contestants(2)
    rows.ballot(*pair, wins=3, losses=3)
    fitting.refit()
    return pair


def shown() -> int:
    board = published.current()
    return board.votes if board else -1


def test_the_first_live_board_is_published_with_its_fit(pair: list[Contestant], announced: list[dict]) -> None:
    assert shown() == 6
    assert [message["votes"] for message in announced] == [6]


def test_later_fits_are_for_operators_until_the_next_fixed_moment(
    pair: list[Contestant], announced: list[dict], at: At
) -> None:
    rows.ballot(*pair, wins=2)
    at(timedelta(minutes=5))
    fitting.refit()
    assert BoardSnapshot.objects.latest("fitted_at").votes == 8
    at(timedelta(hours=5, minutes=59))
    assert publish() == 0 and shown() == 6 and len(announced) == 1
    at(timedelta(hours=6))
    assert publish() == 1 and shown() == 8
    assert announced[-1]["votes"] == 8
    assert published.current().published_at == NOON + timedelta(hours=6)


def test_a_moment_is_served_once_and_a_missed_one_late(pair: list[Contestant], at: At) -> None:
    at(timedelta(hours=7))
    assert publish() == 0, "nothing has changed"
    rows.ballot(*pair, wins=1)
    at(timedelta(hours=8))
    fitting.refit()
    assert publish() == 0 and shown() == 6, "the moment at six o'clock was served at seven"
    at(timedelta(hours=31))
    assert publish() == 1 and shown() == 7


def test_votes_that_no_fit_has_seen_are_published_too(pair: list[Contestant], at: At) -> None:
    rows.ballot(*pair, wins=1)
    at(timedelta(hours=6))
    assert publish() == 1 and shown() == 7
    assert fitting.refit() == [], "what was published is a fit, too"


def test_an_unchanged_board_keeps_the_time_it_was_published_at(pair: list[Contestant], at: At) -> None:
    at(timedelta(hours=6))
    publish()
    assert published.current().published_at == NOON
    assert BoardSnapshot.objects.count() == 1


def test_a_board_that_comes_back_to_an_earlier_state_is_published_again(pair: list[Contestant], at: At) -> None:
    extra = rows.cast(*pair, "a")
    at(timedelta(hours=6))
    assert publish() == 1 and shown() == 7
    rows.follow(extra, "recategorise", categories=["code"])
    at(timedelta(hours=12))
    assert publish() == 0


def test_demo_boards_are_published_with_every_fit(at: At) -> None:
    pair = rows.contestants(2)
    for votes in (4, 8):
        rows.ballot(*pair, wins=2, losses=2, origin="demo")
        fitting.refit()
        assert shown() == votes
    assert publish() == 0


def test_an_operator_publishes_at_once(pair: list[Contestant], capsys: pytest.CaptureFixture[str]) -> None:
    rows.ballot(*pair, wins=1)
    assert publish_now() == 1 and shown() == 7
    rows.ballot(*pair, wins=1)
    call_command("publish_board")
    call_command("publish_board")
    said = ["published live: 8 votes", "nothing has changed since the last boards"]
    assert capsys.readouterr().out.splitlines() == said
    assert AuditEntry.objects.filter(action="publish board").count() == 2


def test_zero_seconds_publish_whatever_is_new(pair: list[Contestant], settings: object, at: At) -> None:
    settings.PUBLISH_S = 0  # type: ignore[attr-defined]
    rows.ballot(*pair, wins=1)
    at(timedelta(seconds=1))
    assert publication.due()
    assert publish() == 1 and shown() == 7
