"""Real votes, the whole way: file, origin, fit, published board, page and API, with the reference's ratings."""

import json

import pytest
from django.test import Client

from arena.models import Contestant
from ranking import fitting, importing
from ranking.models import BoardSnapshot
from tests.ranking import real_votes


@pytest.mark.django_db
def test_the_board_of_real_votes_has_the_reference_s_ratings_and_is_public(
    client: Client, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)
    settings.BOARD_REPLICATES = 50  # type: ignore[attr-defined]
    made = importing.import_votes(real_votes.file("llmfao_crowd.csv"), name="LLMFAO crowd")
    fitting.refit()
    boards = {board.controlled: board for board in BoardSnapshot.objects.filter(origin=made.origin)}
    assert set(boards) == {False, True} and all(board.published_at and board.votes == 8931 for board in boards.values())
    names = {str(pk): name for pk, name in Contestant.objects.filter(origin=made.origin).values_list("pk", "name")}
    reference = json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())["llmfao_crowd"]
    found = {names[row["model"]]: row["rating"] for row in boards[False].board["models"]}
    expected = reference["statsmodels_glm_mean1000"]
    assert max(abs(found[name] - expected[name]) for name in expected) < 1e-6 and len(found) == 59
    assert found != {names[row["model"]]: row["rating"] for row in boards[True].board["models"]}

    page = client.get("/leaderboard", {"origin": made.origin})
    assert page.status_code == 200 and b"GPT 4" in page.content and b"8,931" in page.content
    answer = client.get("/api/v1/leaderboard", {"origin": made.origin})
    assert answer.status_code == 200
    said = json.dumps(answer.json())
    assert "GPT 4" in said and made.origin in said
