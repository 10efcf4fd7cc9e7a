"""Which board: the chooser offers what is published and nothing else, and every link of a board keeps to it."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from arena.models import Contestant
from ranking.fits import history
from ranking.fits.boards import Asked, Key
from ranking.models import BoardSnapshot
from ranking.pages import choosing, published
from tests.ranking.publishing import publish, text

ALL = [Key("demo"), Key("import:x"), Key("live"), Key("live", "code"), Key("live", "code", True), Key("live", "german")]


def offered(key: Key, boards: list[Key] = ALL) -> choosing.Chooser:
    return choosing.chooser(key, boards, Asked(key.origin, key.category, key.style))


def copy(**key: object) -> None:
    """The published live board as another one."""
    snapshot = BoardSnapshot.objects.published().filter(origin="live").latest("published_at")
    fields = {"origin": "live", "board": snapshot.board, "votes": 7, "seed": 7, "published_at": snapshot.published_at}
    made = BoardSnapshot.objects.create(**(fields | key))
    if made.published_at:
        history.keep(made)


def test_only_what_there_is_can_be_chosen() -> None:
    alone = offered(Key("live"), [Key("live")])
    assert (alone.origins, alone.categories, alone.style) == ([], [], None)
    live = offered(Key("live"))
    assert [one.value for one in live.origins] == ["live", "demo", "import:x"]
    assert [one.label for one in live.origins] == ["Votes of this site", "Synthetic demo", "Imported: x"]
    assert [(one.value, one.label) for one in live.categories] == [
        ("", "All prompts"),
        ("code", "Coding"),
        ("german", "German"),
    ]
    assert live.style is None and offered(Key("live", "code")).style is False
    assert offered(Key("live", "code", True)).style is True
    assert offered(Key("demo")).categories == []
    assert [one.value for one in offered(Key("live", "code")).categories if one.selected] == ["code"]


def test_a_category_of_another_version_is_named_as_it_is_stored() -> None:
    assert choosing.category("brand_new") == "brand_new"


def test_the_address_holds_only_what_differs_from_the_usual() -> None:
    assert choosing.parts(Asked()) == {}
    assert choosing.parts(Asked("live", "code", "on")) == {"origin": "live", "category": "code", "style": "on"}


@pytest.mark.django_db
def test_every_link_of_a_board_leads_to_the_same_board(client: Client) -> None:
    publish((40, 10), (30, 20))
    copy(category="german", controlled=True)
    asked = "category=german&amp;style=on"
    page = text(client, "/leaderboard?category=german&style=on&q=model&sort=votes")
    links = [link for link in re.findall(r'href="([^"]*)"', page) if re.match(r"\?|/leaderboard[?./]", link)]
    kept = [link for link in links if asked in link]
    assert len(kept) >= 9 and set(links) - set(kept) <= {
        "/leaderboard/quality"
    }  # of all live votes, whatever the board
    assert client.get("/leaderboard?category=german&style=on").context["board"].key == Key("live", "german", True)
    assert client.get("/leaderboard.json?category=german&style=on").json()["category"] == "german"


@pytest.mark.django_db
def test_for_a_board_that_is_not_public_the_nearest_one_is_shown_and_said_to_be(client: Client) -> None:
    publish((40, 10))
    copy(category="german")
    words = "The board asked for does not exist"
    assert words not in text(client, "/leaderboard?category=german")
    answer = client.get("/leaderboard?category=german&style=on")
    assert words in answer.content.decode() and answer.context["board"].key == Key("live", "german")
    BoardSnapshot.objects.filter(category="german").update(published_at=None)
    answer = client.get("/leaderboard?category=german&style=on")
    assert words in answer.content.decode() and answer.context["board"].key == Key("live")
    assert 'name="category"' not in text(client, "/leaderboard")
    assert client.get("/leaderboard/plots?category=german").context["page"].board.key == Key("live")
    missing = client.get("/leaderboard.json?category=german")
    assert missing.status_code == 404 and "no such board" in missing.json()["detail"]
    for address in ("/leaderboard", "/leaderboard/plots", "/leaderboard/sampling"):
        assert words not in text(client, address)
        page = text(client, f"{address}?origin=import:nothing")
        assert words in page and "No votes yet" not in page and "No board yet" not in page, address


@pytest.mark.django_db
def test_columns_without_a_figure_are_left_out_and_come_with_the_first(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    assert "Price" not in [one.label for one in _headings(client)]
    Contestant.objects.filter(pk=models[0].pk).update(price_in="2", price_out="6")
    assert "Price" in [one.label for one in _headings(client)], "a new price alone is a new page"
    Contestant.objects.filter(pk=models[0].pk).update(organisation="Zeta", licence="MIT")
    Contestant.objects.filter(pk=models[1].pk).update(price_in="1", price_out="2", organisation="Acme")
    assert "Price" in [one.label for one in _headings(client)]
    assert _names(client, "sort=price") == [models[1].name, models[0].name, models[2].name]
    assert _names(client, "sort=organisation")[0] == models[1].name
    assert _names(client, "sort=licence")[0] == models[0].name
    page = text(client, "/leaderboard")
    assert "2 / 6" in page and 'data-label="Places"' in page and _names(client, "sort=places")[0] == models[0].name


def _headings(client: Client) -> list:
    board = published.current()
    assert board
    return client.get("/leaderboard").context["listing"].headings(board)


def _names(client: Client, query: str) -> list[str]:
    return [row.name for row, _bar in client.get(f"/leaderboard?{query}").context["rows"]]


@pytest.mark.django_db
def test_a_models_page_shows_it_on_each_board_and_over_time(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    address = f"/models/{models[0].slug}/"
    assert "On each board" not in text(client, address) and "Ratings over time" not in text(client, address)
    publish((4, 1), models=models[:2])
    copy(category="german")
    copy(controlled=True)
    copy(category="german", published_at=None)  # a newer fit, which hides nothing of what is public
    with CaptureQueriesContext(connection) as queries:
        page = text(client, address)
    assert not [one for one in queries if 'DISTINCT ON ("ranking_boardhistory"' in one["sql"]], "years of it"
    assert "On each board" in page and "German" in page and "All prompts · style control" in page
    assert 'class="plot-all history"' in page and "category=german" in page


@pytest.mark.django_db
def test_an_imported_model_has_a_page_once_its_board_is_public(client: Client) -> None:
    models = publish((40, 10), origin="import:x")
    Contestant.objects.update(imported=True, origin="import:x", organisation="", licence="", description="")
    page = text(client, f"/models/{models[0].slug}/")
    assert "Imported votes come without times." in page and "40 won" in page and "origin=import%3Ax" in page
    assert "About the model" not in page, "nothing is known but its name"
    assert "cast on another site" in text(client, "/leaderboard?origin=import:x")
    Contestant.objects.update(organisation="Somebody")
    assert "Somebody" in text(client, f"/models/{models[0].slug}/")
    BoardSnapshot.objects.all().delete()
    assert client.get(f"/models/{models[0].slug}/").status_code == 404
