"""The public API's boards: chosen by origin, category and style; history and pairs; nothing that is not published."""

from typing import Any

import pytest
import redis
from django.http import HttpResponse
from django.test import Client

from ranking.fits import fitting
from ranking.models import BoardHistory, BoardSnapshot
from ranking.votelog.names import snapshot as public_id
from tests.ranking import publishing, rows

pytestmark = pytest.mark.django_db
BOARD = "/api/v1/leaderboard"


@pytest.fixture(autouse=True)
def calm(valkey: redis.Redis) -> None:
    """Every test begins with full buckets."""


def get(path: str = "", **query: Any) -> HttpResponse:
    return Client().get(BOARD + path, query)


def told(path: str = "", **query: Any) -> dict[str, Any]:
    answer = get(path, **query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def copy(category: str = "", controlled: bool = False, origin: str = "live", published: bool = True) -> BoardSnapshot:
    """The newest board again, under another name."""
    made = BoardSnapshot.objects.latest("fitted_at")
    made.pk, made.origin, made.category, made.controlled = None, origin, category, controlled
    made = BoardSnapshot(
        **{name: getattr(made, name) for name in ("origin", "category", "controlled")},
        board=made.board,
        votes=made.votes + 1,
        seed=made.seed,
        published_at=made.published_at if published else None,
    )
    made.save(force_insert=True)
    return made


def test_boards_are_listed_and_chosen_by_their_names() -> None:
    publishing.publish((30, 10))
    english, styled = copy("en"), copy(controlled=True)
    imported, secret = copy(origin="import:llmfao"), copy("code", published=False)
    names = [(one["origin"], one["category"], one["style"]) for one in told("/boards")["boards"]]
    assert names == [("import:llmfao", "", "off"), ("live", "", "off"), ("live", "", "on"), ("live", "en", "off")]
    assert told(category="en")["snapshot"] == str(public_id(english.pk))
    assert told(style="on")["snapshot"] == str(public_id(styled.pk))
    assert told(origin="import:llmfao")["snapshot"] == str(public_id(imported.pk))
    assert told()["category"] == "" and told()["style"] == "off"
    assert str(public_id(secret.pk)) not in get("/boards").content.decode()


@pytest.mark.parametrize("path", ["", "/history", "/pairs"])
def test_a_board_that_is_not_published_is_not_there(path: str) -> None:
    assert get(path).status_code == 404
    publishing.publish((30, 10))
    copy("code", published=False)
    for query in ({"category": "code"}, {"category": "nothing"}, {"origin": "demo"}, {"style": "on"}):
        answer = get(path, **query)
        assert answer.status_code == 404 and "no such board" in answer.json()["detail"], query


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("", {"style": "yes"}),
        ("", {"category": "c" * 41}),
        ("/history", {"limit": 0}),
        ("/history", {"limit": 1001}),
        ("/history", {"since": "yesterday"}),
        ("/history", {"model": [f"m{n}" for n in range(11)]}),
        ("/pairs", {"limit": 1}),
        ("/pairs", {"limit": 201}),
    ],
)
def test_values_out_of_range_are_422_and_say_which(path: str, query: dict[str, Any]) -> None:
    publishing.publish((30, 10))
    answer = get(path, **query)
    assert answer.status_code == 422, answer.content
    assert answer.json()["detail"].startswith(next(iter(query)))


def test_a_null_figure_has_its_reason() -> None:
    publishing.publish((30, 10))
    board = told()
    assert set(board["why"]) == {name for name, figure in board["figures"].items() if figure is None}


def test_history_is_of_publications_and_nothing_newer() -> None:
    strong, weak = publishing.publish((30, 10))
    before = get("/history").content
    rows.ballot(weak, strong, wins=20)
    fitting.refit()
    assert get("/history").content == before
    publishing.refit_and_publish()
    series = told("/history", model=[weak.slug])["series"]
    assert [one["slug"] for one in series] == [weak.slug]
    assert [point["votes"] for point in series[0]["points"]] == [42, 62]
    assert [one["slug"] for one in told("/history")["series"]] == [one["slug"] for one in told()["models"]]
    assert len(told("/history", model=[weak.slug], limit=1)["series"][0]["points"]) == 1
    assert told("/history", since="2999-01-01")["series"][0]["points"] == []
    backwards = get("/history", since="2026-02-01", until="2026-01-01")
    assert backwards.status_code == 422 and backwards.json()["detail"] == "since: is after until"
    answer = get("/history", model="nobody")
    assert answer.status_code == 404 and "nobody" in answer.json()["detail"]


def test_history_and_pairs_tell_no_codename() -> None:
    hidden, other = publishing.publish((30, 10))
    publishing.hide(hidden)
    assert get("/history", model=publishing.SECRET["slug"]).status_code == 404
    assert told("/history", model="olive-branch")["series"][0]["name"] == "Olive Branch"
    for path in ("", "/history", "/pairs", "/boards"):
        text = get(path).content.decode()
        assert not [secret for secret in (*publishing.SECRET.values(), str(hidden.pk)) if secret in text], path
    assert BoardHistory.objects.get().points.keys() == {str(hidden.pk), str(other.pk)}


def test_pairs_are_row_against_column() -> None:
    first, second, third = publishing.publish((30, 10), (20, 5))
    pairs = told("/pairs")
    assert pairs["models"] == [one["slug"] for one in told()["models"]]
    i, j, k = (pairs["models"].index(model.slug) for model in (first, second, third))
    assert (pairs["battles"][i][j], pairs["ties"][i][j], pairs["win_rate"][i][j]) == (42, 2, 31 / 42)
    assert pairs["win_rate"][j][i] == 11 / 42 and pairs["win_rate"][i][k] is None and pairs["battles"][i][k] == 0
    rating = {model["slug"]: model["rating"] for model in told()["models"]}
    gap = rating[first.slug] - rating[third.slug]
    assert pairs["expected"][i][k] == pytest.approx(1 / (1 + 10 ** (-gap / 400)), abs=1e-12)
    assert pairs["expected"][i][i] is None
    assert len(told("/pairs", limit=2)["battles"]) == 2


def test_downloads_are_of_the_board_that_is_asked_for() -> None:
    publishing.publish((30, 10))
    copy("en")
    answer = Client().get("/leaderboard.json", {"category": "en"})
    assert answer.json()["votes"] == 43 and "agon-board-live-en-" in answer["Content-Disposition"]
    assert Client().get("/leaderboard.csv", {"category": "fr"}).status_code == 404
