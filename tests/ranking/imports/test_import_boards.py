"""Real votes, the whole way: file, origin, fit, published board, page and API, with the reference's ratings."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.test import Client

from arena.models import Contestant
from ranking import command_line
from ranking.fits import fitting
from ranking.imports import importing
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


@pytest.mark.django_db
def test_an_import_that_is_replaced_during_its_first_fit_gets_the_board_of_its_own_votes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """As many votes, by other models: the late board would name contestants that are gone, and nothing would tell it apart."""
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)
    file = tmp_path / "v.csv"
    file.write_text("model_a,model_b,winner\nx,y,model_a\nx,y,model_b\n")
    importing.import_votes(file)
    build = fitting.build

    def late(read: object) -> object:
        file.write_text("model_a,model_b,winner\nq,y,model_a\nq,y,model_b\n")
        importing.import_votes(file, replace=True)
        return build(read)  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "build", late)
    assert fitting.refit() == []
    monkeypatch.setattr(fitting, "build", build)
    fitting.refit()
    assert {row["name"] for row in client.get("/leaderboard.json?origin=import:v").json()["models"]} == {"q", "y"}


FIGURES = (
    "rating",
    "se",
    "rank",
    "rank_worst",
    "joint_lower",
    "joint_upper",
    "adjacent",
    "first_rate",
    "votes",
    "wins",
    "drift_p",
)


@pytest.mark.django_db
@pytest.mark.parametrize("file", ["llmfao_crowd.csv", "llmfao_gpt4.csv"])
def test_the_command_line_says_what_the_board_says(
    file: str, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)
    settings.BOARD_REPLICATES = 50  # type: ignore[attr-defined]
    path = real_votes.file(file)
    made = importing.import_votes(path)
    fitting.refit()
    snapshot = BoardSnapshot.objects.get(origin=made.origin, category="", controlled=False)
    board, seed = snapshot.board, str(snapshot.seed)
    names = {str(pk): name for pk, name in Contestant.objects.filter(origin=made.origin).values_list("pk", "name")}
    out = StringIO()
    assert command_line.main([str(path), "--json", "--replicates", "50", "--seed", seed], out) == 0
    printed = json.loads(out.getvalue())
    methods = [
        {key: one["method"][key] for key in one["method"] if key != "helped_replicates"} for one in (printed, board)
    ]
    assert methods[0] == methods[1] and printed["clusters"] == pytest.approx(board["clusters"])
    assert printed["why"] == board["why"] and printed["drift"] is None, "the file has no times"
    ours = {row["model"]: row for row in printed["models"]}
    for row in board["models"]:
        for figure in FIGURES:
            assert ours[names[row["model"]]][figure] == pytest.approx(row[figure], abs=1e-6), figure
