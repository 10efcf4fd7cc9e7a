"""Rebuilding published boards from files alone: identical when nothing was touched, and any changed byte is found."""

import csv
import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from arena.models import Contestant, VoteEvent
from ranking.fits import fitting
from ranking.models import BoardSnapshot, LogEntry
from ranking.votelog import chain, publication, rebuild
from tests.ranking import real_votes, rows
from tests.ranking.votelog.chains import ran

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[3]


def election(models: int = 5, votes: int = 160, seed: int = 1) -> list[Contestant]:
    """Votes of every kind: ties, both bad, categories, unequal probabilities, unranked ones, flags and changes."""
    rng, pool = random.Random(seed), rows.contestants(models)
    events = []
    for number in range(votes):
        a, b = rng.sample(range(models), 2)
        better = "a" if rng.random() < 1 / (1 + 2.0 ** (a - b)) else "b"
        choice = rng.choice([better, better, better, "tie", "both_bad"])
        more = {
            "probability": rng.choice([0.05, 0.1, 0.2]),
            "categories": rng.choice([[], ["code"], ["code", "german"]]),
        }
        events.append(rows.cast(pool[a], pool[b], choice, ranked=number % 17 != 0, judge=f"judge-{number % 7}", **more))
    fitting.refit()
    for event in rng.sample(events, 12):
        rows.follow(event, rng.choice(["void", "flag", "recategorise"]), categories=["math"])
    rows.cast(pool[0], pool[1], "a")
    publication.publish(at_once=True)
    return pool


def files(client: Client, folder: Path) -> tuple[Path, list[Path]]:
    """What somebody downloads: the log, and the newest boards."""
    told = client.get("/api/v1/log").json()
    log = folder / "log.jsonl"
    pages = [client.get(f"/api/v1/log/pages/{page}.jsonl").content for page in range(1, told["pages"] + 1)]
    log.write_bytes(b"".join(pages))
    boards = []
    for one in told["publications"]:
        boards.append(folder / f"board-{one['entry']}.json")
        boards[-1].write_bytes(client.get(f"/api/v1/log/boards/{one['entry']}").content)
    return log, boards


def run(log: Path, *boards: Path) -> tuple[int, str]:
    """In a process of its own, which has no settings and so no database."""
    command = [sys.executable, "-m", "ranking.votelog.rebuild", str(log), *map(str, boards)]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AGON", "DJANGO", "DATABASE"))}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout + done.stderr


def found(lines: list[str], boards: list[dict[str, Any]]) -> list[str]:
    report = rebuild.check(lines, boards)
    return report.said[1:] if report.faults else []


def test_every_published_board_is_rebuilt_from_the_files_alone(client: Client, tmp_path: Path) -> None:
    election()
    log, boards = files(client, tmp_path)
    code, said = run(log, *boards)
    assert (code, said.splitlines()[-1]) == (0, "identical"), said
    assert "live board, overall: identical (5 models" in said and "every line follows the one before it" in said
    packed = tmp_path / "log.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert run(packed, boards[0])[0] == 0


def test_exclusions_that_are_public_are_left_out_and_the_others_are_not(
    client: Client, tmp_path: Path, settings: Any
) -> None:
    pool = election()
    hidden = rows.cast(pool[0], pool[1], "a")
    publication.publish(at_once=True)
    rows.follow(hidden, "flag")
    settings.LOG_DELAY_S = settings.LOG_BATCH_S = 0
    publication.publish(at_once=True)
    assert LogEntry.objects.filter(kind="exclude").exists()
    log, boards = files(client, tmp_path)
    code, said = run(log, *boards)
    assert code == 0 and said.count("live board, overall: identical") == 4, said


def test_real_votes_are_rebuilt(client: Client, tmp_path: Path) -> None:
    with real_votes.file("llmfao_crowd.csv").open() as stream:
        votes = list(csv.DictReader(stream))[:1500]
    names = sorted({vote[side] for vote in votes for side in ("model_a", "model_b")})
    pool = dict(zip(names, rows.contestants(len(names)), strict=True))
    VoteEvent.objects.bulk_create(
        VoteEvent(
            contestant_a=pool[vote["model_a"]],
            contestant_b=pool[vote["model_b"]],
            choice=vote["winner"].removeprefix("model_"),
            judge=vote["judge"][:32],
        )
        for vote in votes
    )
    fitting.refit()
    log, boards = files(client, tmp_path)
    code, said = run(log, *boards)
    assert code == 0 and "1500 votes" in said and "identical" in said, said


def test_exclusions_are_those_that_publications_had_committed_to(client: Client, tmp_path: Path, settings: Any) -> None:
    pool = election()
    assert client.get("/api/v1/log/exclusions/1.jsonl").status_code == 404, "nothing is opened before it is public"
    assert [one["exclusions"] for one in client.get("/api/v1/log/openings").json()["openings"]] == [0]
    settings.LOG_DELAY_S = settings.LOG_BATCH_S = 0
    rows.cast(pool[0], pool[1], "a")
    publication.publish(at_once=True)
    log, boards = files(client, tmp_path)
    lines = client.get("/api/v1/log/exclusions/1.jsonl").content.decode().splitlines()
    openings = client.get("/api/v1/log/openings").json()["openings"]
    assert [one["exclusions"] for one in openings] == [len(lines), len(lines), 0]
    told = [path.read_text() for path in boards[:1]]

    def report(lines: list[str], openings: list[dict[str, Any]]) -> rebuild.Report:
        return rebuild.check(log.read_text().splitlines(), [json.loads(one) for one in told], (lines, openings))

    assert report(lines, openings).faults == 0
    assert report(lines[:-1], openings).faults > 0
    forged = [line.body for line in chain.link(chain.Head(), [_own(line) for line in reversed(lines)])]
    assert any("committed to other exclusions" in one for one in report(forged, openings).said)
    assert any("was never sealed so" in one for one in report([], []).said)
    (tmp_path / "exclusions.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "openings.json").write_text(json.dumps({"openings": openings}))
    more = ["--exclusions", str(tmp_path / "exclusions.jsonl"), "--openings", str(tmp_path / "openings.json")]
    code, said = run(log, boards[0], *map(Path, more))
    assert code == 0 and "exclusions: as 3 publications had committed to" in said, said


def _own(line: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(line).items() if name not in ("number", "previous")}


@pytest.fixture
def published(client: Client, tmp_path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    election(models=3, votes=40)
    log, boards = files(client, tmp_path)
    return log.read_text().splitlines(), [json.loads(board.read_text()) for board in boards[:1]]


def test_any_changed_byte_of_the_log_is_found(published: tuple[list[str], list[dict[str, Any]]]) -> None:
    lines, boards = published
    rng = random.Random(7)
    assert found(lines, boards) == []
    for place in [0, 1, len(lines) // 2, len(lines) - 2, len(lines) - 1]:
        at = rng.randrange(len(lines[place]))
        changed = lines[place][:at] + ("0" if lines[place][at] != "0" else "1") + lines[place][at + 1 :]
        assert found([*lines[:place], changed, *lines[place + 1 :]], boards), (place, at)


def test_a_log_of_other_votes_in_sound_chain_is_found_by_the_boards_hash(
    published: tuple[list[str], list[dict[str, Any]]],
) -> None:
    lines, boards = published
    entries = [_own(line) for line in lines]
    vote = next(entry for entry in entries if entry["kind"] == "vote" and entry["ranked"] and entry["choice"] == "a")
    vote["choice"] = "b"
    forged = [line.body for line in chain.link(chain.Head(), entries)]
    said = found(forged, boards)
    assert any("its hash is" in one for one in said)
    head = chain.digest(forged[-1])
    said = found(forged, [boards[0] | {"hash": head}])
    assert any("model" in one and "from the log" in one for one in said), "and the figures are not those of these votes"


@pytest.mark.parametrize("name", ["rating", "votes", "win_rate", "standing"])
def test_any_changed_figure_of_the_board_is_found(published: tuple[list[str], list[dict[str, Any]]], name: str) -> None:
    lines, (told,) = published
    changed = json.loads(json.dumps(told))
    model = changed["boards"][0]["board"]["models"][0]
    model[name] = {"standing": "unbeaten"}.get(name) or model[name] + 0.01
    said = found(lines, [changed])
    assert any("SHA-256" in one for one in said) and any(f"model {model['model']}: {name}" in one for one in said), said


@pytest.mark.parametrize("change", ["seed", "votes", "category"])
def test_a_changed_document_is_found(published: tuple[list[str], list[dict[str, Any]]], change: str) -> None:
    lines, (told,) = published
    changed = json.loads(json.dumps(told))
    changed["boards"][0][change] = "code" if change == "category" else changed["boards"][0][change] + 1
    assert found(lines, [changed])


def test_a_log_that_ends_too_early_or_is_no_file_is_told(
    published: tuple[list[str], list[dict[str, Any]]], tmp_path: Path
) -> None:
    lines, boards = published
    assert any("the log ends at line" in one for one in found(lines[:-1], boards))
    (tmp_path / "board.json").write_text(json.dumps(boards[0]))
    code, said = run(tmp_path / "nothing", tmp_path / "board.json")
    assert code == 1 and "cannot be read" in said
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "other.json").write_text("[]")
    assert run(tmp_path / "log.jsonl", tmp_path / "other.json")[0] == 1


def test_verify_board_rebuilds_from_the_log_and_from_the_database(capsys: pytest.CaptureFixture[str]) -> None:
    pool = election()
    code, said = ran("verify_board", capsys)
    assert code == 0 and said.endswith("\nidentical\n"), said
    assert "live board, overall: from the database: identical" in said
    rows.cast(pool[0], pool[1], "a")
    fitting.refit()
    code, said = ran("verify_board", capsys)
    assert code == 0 and "votes have come since" in said, said


def test_verify_board_finds_a_changed_snapshot(capsys: pytest.CaptureFixture[str]) -> None:
    election()
    snapshot = BoardSnapshot.objects.published().filter(category="").latest("published_at")
    snapshot.board["models"][0]["upper"] += 1
    snapshot.save(update_fields=["board"])
    code, said = ran("verify_board", capsys)
    assert code == 1 and "SHA-256" in said and "models[0].upper" in said, said
