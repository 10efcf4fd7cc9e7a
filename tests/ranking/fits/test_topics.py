"""How discriminating prompts are: measured with the overall board, stored with it, shown under public names."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from arena import clock, voiding
from arena.models import Contestant
from arena.models.contestants import Visibility
from ranking.fits import fitting
from ranking.models import BoardSnapshot
from ranking.votelog import publication
from tests.ranking import rows

pytestmark = pytest.mark.django_db


def votes(strong: Contestant, weak: Contestant, category: str, won: int, lost: int, ties: int = 0) -> None:
    for choice, number in (("a", won), ("b", lost), ("tie", ties)):
        for _ in range(number):
            rows.event(None, strong, weak, choice, categories=[category])


@pytest.fixture
def pair() -> list[Contestant]:
    """A strong and a weak model, with three kinds of prompts."""
    pair = rows.contestants(2)
    votes(*pair, "code", won=9, lost=1, ties=2)
    votes(*pair, "math", won=6, lost=4)
    votes(*pair, "english", won=5, lost=5)
    return pair


def stored() -> dict:
    return BoardSnapshot.objects.filter(category="", controlled=False).latest("fitted_at").board["topics"]


def test_rates_by_hand(pair: list[Contestant]) -> None:
    fitting.refit()
    told = stored()
    assert (told["strong"], told["weak"]) == ([str(pair[0].pk)], [str(pair[1].pk)])
    code = told["topics"]["code"]
    assert (code["won"], code["decided"], code["ties"], code["rate"]) == (9, 10, 2, 0.9)
    assert told["topics"]["english"]["rate"] == 0.5
    assert 0.5 < told["topics"]["math"]["shrunk"] < 0.9


def test_what_the_public_does_not_know_yet_changes_nothing_it_sees(
    pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)
    wrong = rows.cast(*pair, "b", categories=["code"])
    fitting.refit()
    voiding.void_battle(wrong.vote.battle, User.objects.create_user("op"), "rigged")
    rows.cast(*pair, "a")
    publication.publish(at_once=True)
    public = BoardSnapshot.objects.published().filter(category="", controlled=False).latest("published_at")
    assert public.board["topics"]["topics"]["code"]["decided"] == 11
    operators = BoardSnapshot.objects.fits().filter(category="", controlled=False).latest("fitted_at")
    assert operators.board["topics"]["topics"]["code"]["decided"] == 10


def test_without_categories_there_is_nothing_to_say() -> None:
    pair = rows.contestants(2)
    rows.ballot(*pair, wins=5, losses=3)
    fitting.refit()
    assert stored() is None
    assert "tell models apart" not in Client().get("/leaderboard/quality").content.decode()


def test_the_page_shows_titles_figures_and_codenames(pair: list[Contestant]) -> None:
    Contestant.objects.filter(pk=pair[0].pk).update(
        visibility=Visibility.ANONYMOUS, codename="Owl", anonymous_until=clock.now().date() + timedelta(days=3)
    )
    fitting.refit()
    page = Client().get("/leaderboard/quality").content.decode()
    for words in ("Coding", "Mathematics", "90 %", "Owl"):
        assert words in page
    assert pair[0].name not in page
