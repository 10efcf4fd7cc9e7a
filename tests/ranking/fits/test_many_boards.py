"""Boards by category and style control: which there are, that they add up, and when each is fitted anew."""

import pytest

from arena.models import VoteEvent
from ranking import counts, method
from ranking.board.board_format import State
from ranking.fits import fitting, reading
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot, BoardTrouble, VoteStyle
from ranking.votelog import publication
from tests.ranking import rows
from tests.ranking.fits.ballots import ballots, dress, newest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("low")]
LIVE, ENGLISH, CODE = Key("live"), Key("live", "en"), Key("live", "code")


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
