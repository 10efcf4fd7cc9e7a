"""Exclusions for abuse: at once on the operators' board, and in one later batch in the public log and on the public board."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from arena import clock
from arena.models import Contestant, PairWeight, VoteEvent
from ranking import counts
from ranking.fits import boards, fitting
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot, LogEntry, VoteStyle, WithheldEntry
from ranking.pages import published
from ranking.votelog import exclusions, publication, sealing
from tests.ranking import rows
from tests.ranking.votelog.chains import log, sound

START = datetime(2026, 11, 26, 9, tzinfo=UTC)  # a Thursday morning
DELAY, BATCH = 3 * 86_400, 86_400

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def short(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LOG_DELAY_S, settings.LOG_BATCH_S = DELAY, BATCH  # type: ignore[attr-defined]
    at(monkeypatch, timedelta())


def at(monkeypatch: pytest.MonkeyPatch, later: timedelta) -> None:
    monkeypatch.setattr(clock, "now", lambda: START + later)


@pytest.fixture
def pair() -> list[Contestant]:
    pair = rows.contestants(2)
    rows.ballot(*pair, wins=3, losses=3)
    return pair


def votes() -> tuple[int, int]:
    """On the operators' newest board, and on the public one."""
    operators = BoardSnapshot.objects.fits().filter(origin="live").latest("fitted_at", "id").votes
    board = published.current()
    return operators, board.votes if board else -1


def kinds() -> Counter[str]:
    return Counter(LogEntry.objects.values_list("kind", flat=True))


def publish(monkeypatch: pytest.MonkeyPatch, later: timedelta) -> None:
    at(monkeypatch, later)
    fitting.refit()
    publication.publish(at_once=True)


def test_a_flag_works_for_operators_at_once_and_for_the_public_in_its_batch(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = rows.cast(*pair, "a")
    publish(monkeypatch, timedelta())
    rows.follow(event, "flag")
    publish(monkeypatch, timedelta(hours=1))
    assert votes() == (6, 7)
    for later in (timedelta(days=1), timedelta(days=3), timedelta(days=3, hours=14, minutes=59)):
        publish(monkeypatch, later)
        assert votes() == (6, 7) and kinds()["exclude"] == 0
    publish(monkeypatch, timedelta(days=3, hours=15))  # midnight after three days
    assert votes() == (6, 6) and kinds()["exclude"] == 1
    assert WithheldEntry.objects.get().released_at == clock.now()


def test_nothing_public_moves_while_an_exclusion_waits(pair: list[Contestant], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the log nor the board is another one because a vote was flagged, taken back or voided: only the batch tells."""
    event = rows.cast(*pair, "a")
    publish(monkeypatch, timedelta())
    before = (log(), published.current())
    for hours, kind in enumerate(("flag", "unflag", "void")):
        rows.follow(event, kind)
        publish(monkeypatch, timedelta(hours=hours + 1))
    assert (log(), published.current()) == before


@pytest.mark.parametrize("read_one_by_one", [10**6, 0])
def test_nor_on_a_board_by_judge_however_large(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch, settings: Any, read_one_by_one: int
) -> None:
    """The judges of a large board come from counts: those of the public state, so that equal states are equal."""
    settings.STREAM_VOTES = read_one_by_one
    VoteEvent.objects.bulk_create(
        VoteEvent(contestant_a=pair[0], contestant_b=pair[1], choice=choice, judge=f"{n:032x}")
        for n in range(24)
        for choice in ("a", "b", "a" if n % 3 else "b")
    )
    event = rows.cast(*pair, "a", judge=f"{7:032x}")
    publish(monkeypatch, timedelta())
    before = (log(), published.current())
    assert before[1] and before[1].method["level"] == "judge"
    rows.follow(event, "flag")
    for hours in (1, 2):
        publish(monkeypatch, timedelta(hours=hours))
        assert (log(), published.current()) == before
        rows.follow(event, "unflag")  # the cell moves within its table


def test_nor_on_the_board_of_a_category_or_with_style(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.CATEGORY_VOTES = settings.STYLE_VOTES = 5
    made = [rows.cast(*pair, choice, categories=["code"]) for choice in "aabbab"]
    names = [f"{name}_{side}" for name in ("length", "headers", "lists", "bold") for side in "ab"]
    for n, event in enumerate(made):
        VoteStyle.objects.create(event=event, **{name: (n * k) % 7 for k, name in enumerate(names)})
    publish(monkeypatch, timedelta())
    before = boards.published()
    assert [one.key for one in before] == [
        Key("live", *rest) for rest in (("",), ("", True), ("code",), ("code", True))
    ]
    rows.follow(made[0], "flag")
    publish(monkeypatch, timedelta(hours=1))
    assert boards.published() == before


def test_a_published_board_does_not_tell_when_it_was_fitted(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch, client: Client, valkey: object
) -> None:
    """Fitted for its publication because an exclusion waits, or before: neither its id nor what is measured says which."""
    event = rows.cast(*pair, "a")
    publish(monkeypatch, timedelta())
    for day, excluded in ((1, False), (2, True)):
        rows.cast(*pair, "b")
        if excluded:
            rows.follow(event, "flag")
        at(monkeypatch, timedelta(days=day))
        fitting.refit()
        at(monkeypatch, timedelta(days=day, hours=1))
        publication.publish(at_once=True)
        board = published.current()
        assert board and board.published_at == clock.now() and (board.fitted_at == clock.now()) == excluded
        told = client.get("/api/v1/leaderboard").content.decode()
        assert str(board.snapshot) not in told, "a version 7 holds its time"
        assert board.sampling and datetime.fromisoformat(board.sampling["until"]) == clock.now() - timedelta(minutes=1)
        assert board.service and datetime.fromisoformat(board.service["until"]) == clock.now()


def test_publications_do_not_show_in_their_commitment_whether_anything_is_withheld(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = rows.cast(*pair, "a")
    publish(monkeypatch, timedelta())
    for hours in (1, 2):
        rows.cast(*pair, "b")
        if hours == 2:
            rows.follow(event, "flag")
        publish(monkeypatch, timedelta(hours=hours))
    said = [line["withheld"] for line in log() if line["kind"] == "publication"]
    assert len(said) == len(set(said)) == 3


def test_a_flag_that_is_taken_back_before_its_batch_leaves_no_line(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = rows.cast(*pair, "a")
    publish(monkeypatch, timedelta())
    rows.follow(event, "flag")
    publish(monkeypatch, timedelta(hours=1))
    rows.follow(event, "unflag")
    publish(monkeypatch, timedelta(hours=2))
    assert votes() == (7, 7)
    publish(monkeypatch, timedelta(days=9))
    assert kinds()["exclude"] == kinds()["include"] == 0
    assert not WithheldEntry.objects.filter(released_at=None).exists()


def test_a_flag_that_is_taken_back_later_comes_back_in_a_later_batch(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = rows.cast(*pair, "a")
    publish(monkeypatch, timedelta())
    rows.follow(event, "flag")
    publish(monkeypatch, timedelta(days=5))
    assert votes() == (6, 7), "sealed at the fifth day, not when it was written"
    publish(monkeypatch, timedelta(days=9))
    assert votes() == (6, 6)
    rows.follow(event, "unflag")
    publish(monkeypatch, timedelta(days=10))
    assert votes() == (7, 6), "the public board follows no sooner than it did for the flag"
    publish(monkeypatch, timedelta(days=14))
    assert votes() == (7, 7)
    assert [line["kind"] for line in log() if line["kind"] in ("exclude", "include")] == ["exclude", "include"]
    assert sound()


def test_new_categories_of_a_flagged_vote_are_public_at_once(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = rows.cast(*pair, "a", categories=["code"])
    publish(monkeypatch, timedelta())
    rows.follow(event, "flag")
    rows.follow(event, "recategorise", categories=["math"])
    counts.absorb()
    public = {key[1]: change[0] for key, change in exclusions.hidden("live").pairs.items()}
    assert public == {"": 1, "math": 1}


def test_hidden_changes_cover_probabilities_and_judges(pair: list[Contestant]) -> None:
    flagged, back = (rows.cast(*pair, "a", probability=0.5, judge="x") for _ in range(2))
    counts.absorb()
    rows.follow(flagged, "flag")
    rows.follow(back, "flag")
    counts.absorb()
    sealing.release(clock.now() + timedelta(days=9), DELAY, BATCH)
    rows.follow(back, "unflag")
    later = rows.cast(*pair, "b", probability=0.25, judge="y")
    rows.follow(later, "void")
    counts.absorb()
    hidden = exclusions.hidden("live")
    assert sorted(map(tuple, hidden.pairs.values())) == [(-1, -2.0, -4.0), (1, 4.0, 16.0)]
    assert {key[1]: change for key, change in hidden.judges.items()} == {"x": -1, "y": 1}


def test_an_exclusion_before_its_vote_waits_for_it(pair: list[Contestant], monkeypatch: pytest.MonkeyPatch) -> None:
    vote = rows.vote(*pair, "a")
    rows.event(vote, *pair, "a", kind="flag")
    publish(monkeypatch, timedelta())
    publish(monkeypatch, timedelta(days=9))
    assert WithheldEntry.objects.get().released_at is None
    rows.event(vote, *pair, "a")
    publish(monkeypatch, timedelta(days=10))
    assert votes() == (6, 6), "its batch had come: the vote enters and leaves in one publication"
    assert kinds()["exclude"] == 1
    assert VoteEvent.objects.filter(absorbed=False).count() == 0


def test_the_draw_does_not_tell_what_is_hidden(pair: list[Contestant], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each vote's probability is in the log, so weights from the operators' counts would show which votes were excluded."""

    def weights() -> list[float]:
        return list(PairWeight.objects.order_by("first", "second").values_list("weight", flat=True))

    rows.ballot(*[*rows.contestants(1), pair[0]], wins=5, losses=4)
    event = rows.cast(*pair, "a")
    publish(monkeypatch, timedelta())
    before = weights()
    rows.follow(event, "flag")
    publish(monkeypatch, timedelta(hours=1))
    assert weights() == before and len(before) == 3
    publish(monkeypatch, timedelta(days=9))
    fitting.refit()
    assert weights() != before
