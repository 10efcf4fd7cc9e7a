"""The public API: the published board and nothing newer, for any origin, within limits, with errors as JSON."""

import json
from typing import Any

import pytest
import redis
from django.conf import settings as live_settings
from django.http import HttpResponse
from django.test import Client

from arena import limits
from ranking.models import BoardSnapshot
from ranking.pages import downloads
from ranking.votelog.names import snapshot as public_id
from tests.ranking import publishing, rows

pytestmark = pytest.mark.django_db
BOARD = "/api/v1/leaderboard"


@pytest.fixture(autouse=True)
def calm(valkey: redis.Redis) -> None:
    """Every test begins with full buckets."""


def get(address: str = BOARD, **headers: str) -> HttpResponse:
    return Client().get(address, headers={name.replace("_", "-"): value for name, value in headers.items()})


def board() -> dict[str, Any]:
    answer = get()
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_the_board_has_its_figures_under_stable_names() -> None:
    strong, weak = publishing.publish((30, 10))
    told = board()
    snapshot = BoardSnapshot.objects.get()
    assert list(told)[:9] == [
        "snapshot",
        "published",
        "origin",
        "synthetic",
        "state",
        "votes",
        "seed",
        "method",
        "models",
    ]
    assert list(told)[9:] == ["category", "style", "figures", "why", "log_entry"]
    assert told["snapshot"] == str(public_id(snapshot.pk))
    assert (told["origin"], told["synthetic"], told["state"], told["votes"]) == ("live", False, "fitted", 42)
    assert told["method"]["confidence"] == 0.95
    assert get(f"/api/v1/log/boards/{told['log_entry']}").json()["boards"][0]["seed"] == told["seed"]
    assert [model["name"] for model in told["models"]] == [strong.name, weak.name]
    best = told["models"][0]
    assert (best["rank"], best["wins"], best["losses"], best["ties"], best["standing"]) == (1, 30, 10, 2, "ranked")
    assert best["lower"] < best["rating"] < best["upper"]
    assert best["rating"] == snapshot.board["models"][0]["rating"], "full precision"


FIELDS = [
    *("name", "slug", "organisation", "licence", "open_weights", "adapter", "retired", "anonymous_until"),
    *("standing", "rank", "rank_worst", "rating", "lower", "upper", "votes", "wins", "losses", "ties", "win_rate"),
    *("both_bad", "first_rate", "rank_lower", "rank_upper", "p_first", "se", "joint_lower", "joint_upper", "battle"),
    *("quantiles", "adjacent", "effective_judges", "raw_rating", "reweighted", "drift_p"),
    *("price_in", "price_out", "replies", "first_token_s", "tokens_per_s", "failure_rate"),
]


def test_a_model_has_the_same_fields_in_the_api_its_document_and_the_downloads() -> None:
    """A promise to whoever reads them with a program: a field more is one line here, and none goes."""
    publishing.publish((30, 10))
    schema = get("/api/v1/openapi.json").json()["components"]["schemas"]["Standing"]
    assert list(schema["properties"]) == schema["required"] == FIELDS
    download = json.loads(get("/leaderboard.json").content)
    best = download["models"][0]
    for model in (*board()["models"], *download["models"]):
        assert list(model) == FIELDS
    columns = get("/leaderboard.csv").content.decode().splitlines()[0].split(",")
    assert {name for name in columns if not name.startswith("battle_")} - set(downloads.PAIRS.values()) < set(FIELDS)
    assert {name for name in columns if name.startswith("battle_")} == {f"battle_{name}" for name in best["battle"]}


def test_a_vote_does_not_move_it_until_a_snapshot_is_published() -> None:
    """S25: no oracle."""
    strong, weak = publishing.publish((30, 10))
    before = get()
    for _ in range(50):
        rows.cast(weak, strong, "a")
    after = get()
    assert (after.content, after["ETag"]) == (before.content, before["ETag"])
    publishing.publish((1, 0), models=[strong, weak])
    assert get()["ETag"] != before["ETag"]


def test_a_codename_hides_who_it_is() -> None:
    hidden, _ = publishing.publish((30, 10))
    publishing.hide(hidden)
    answer = get()
    told = next(model for model in answer.json()["models"] if model["anonymous_until"])
    assert (told["name"], told["slug"], told["organisation"], told["licence"]) == (
        "Olive Branch",
        "olive-branch",
        "",
        "",
    )
    for secret in publishing.SECRET.values():
        assert secret not in answer.content.decode()


def test_without_a_board_it_says_so() -> None:
    answer = get()
    assert answer.status_code == 404
    assert answer.json()["detail"] == "No board has been published yet."
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "address", "accept", "status"),
    [
        ("GET", "/api/v1/nothing", "*/*", 404),
        ("GET", "/api/v2/leaderboard", "*/*", 404),
        ("POST", BOARD, "*/*", 405),
        ("DELETE", BOARD, "*/*", 405),
        ("TRACE", BOARD, "*/*", 405),
        ("GET", BOARD, "text/html", 406),
        ("GET", BOARD, "application/xml, text/*;q=0.5", 406),
    ],
)
def test_errors_are_problems(method: str, address: str, accept: str, status: int) -> None:
    publishing.publish((3, 1))
    answer = Client().generic(method, address, headers={"accept": accept, "origin": "https://elsewhere.example"})
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Access-Control-Allow-Origin"] == "*"
    told = json.loads(answer.content)
    assert set(told) == {"type", "title", "status", "detail"} and told["status"] == status and told["detail"]
    if status == 405:
        assert answer["Allow"] == "GET, HEAD, OPTIONS"


def test_a_failure_is_a_problem_without_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranking.pages.published.current", lambda: 1 / 0)
    answer = Client(raise_request_exception=False).get(BOARD)
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert b"Zero" not in answer.content


def test_other_origins_may_read_and_may_ask_first() -> None:
    publishing.publish((3, 1))
    answer = Client().options(BOARD, headers={"origin": "https://a.example", "access-control-request-method": "GET"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Access-Control-Allow-Methods"] == answer["Allow"] == "GET, HEAD, OPTIONS"
    assert Client().options("/api/v1/nothing").status_code == 404
    answer = get(origin="https://a.example")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer
    assert "Access-Control-Allow-Origin" not in get("/leaderboard")


def test_head_is_get_without_a_body() -> None:
    publishing.publish((3, 1))
    full, head = get(), Client().head(BOARD)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Cache-Control", "Content-Type", "Content-Length"):
        assert head[name] == full[name], name


def test_what_has_not_changed_is_not_sent_again(settings: object) -> None:
    settings.API_MAX_AGE_S = 90
    publishing.publish((3, 1))
    first = get()
    assert first["Cache-Control"] == "public, max-age=90"
    again = get(if_none_match=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert get(if_none_match='"other"').status_code == 200


def test_answers_are_the_same_for_everybody_and_carry_no_cookie() -> None:
    publishing.publish((3, 1))
    client = Client(headers={"accept-language": "de"})
    client.cookies["agon_visitor"] = "forged"
    answer = client.get(BOARD)
    assert answer.content == get().content
    assert not answer.cookies and "Vary" not in answer and "Content-Language" not in answer


def test_one_network_is_bounded_and_others_are_not(settings: object) -> None:
    settings.API_BURST, settings.API_PER_MINUTE, settings.TRUSTED_PROXIES = 3, 6, ["127.0.0.1"]
    publishing.publish((3, 1))
    codes = [get(x_forwarded_for="203.0.113.7").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    refused = get("/api/v1/openapi.json", x_forwarded_for="203.0.113.7")
    assert refused.status_code == 429 and 1 <= int(refused["Retry-After"]) <= 10
    assert get(x_forwarded_for="203.0.113.8").status_code == 200
    assert get("/leaderboard", x_forwarded_for="203.0.113.7").status_code == 200, "pages have nothing to do with it"


def test_without_valkey_public_figures_are_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    publishing.publish((3, 1))

    def down(*_: object) -> float:
        raise redis.ConnectionError("down")

    monkeypatch.setattr(limits, "take_from", down)
    assert get().status_code == 200


def test_the_openapi_document_names_what_there_is() -> None:
    told = get("/api/v1/openapi.json").json()
    assert told["info"] == {"title": "Agon public API", "version": "1", "description": told["info"]["description"]}
    answers = told["paths"][BOARD]["get"]["responses"]
    assert {"200", "304", "404", "405", "406", "429", "500"} <= set(answers)
    assert "application/problem+json" in answers["429"]["content"]
    standing = told["components"]["schemas"]["Standing"]
    assert set(standing["properties"]) == set(standing["required"])


def test_the_page_says_what_there_is_and_loads_nothing_from_elsewhere(client: Client) -> None:
    text = publishing.text(client, "/api")
    assert f'href="{BOARD}"' in text and 'href="/api/v1/openapi.json"' in text
    assert f"{live_settings.API_PER_MINUTE} times a minute" in text
    assert "https://" not in text.split("<main")[1].split("</main>")[0]
    assert client.get("/api/v1/docs").status_code == 404
    assert client.get("/api/")["Location"] == "/api"
