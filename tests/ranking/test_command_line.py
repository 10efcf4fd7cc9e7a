"""python -m ranking: a file of votes ranked in a process of its own, without settings or database."""

import csv
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from ranking import command_line
from ranking.board.build import build
from ranking.board.inputs import Inputs
from ranking.estimators import bradley_terry, few_judges, priors
from ranking.estimators.bradley_terry import PER_LOGIT, fit
from ranking.estimators.judges import JudgeCell, JudgeTally
from ranking.estimators.tally import Cell, Tally
from ranking.estimators.tie_models import LAWS
from tests.ranking import real_votes
from tests.ranking.imports import samples
from tests.ranking.imports.samples import written

VOTES = "model_a,model_b,winner,categories\n" + "".join(
    f"{a},{b},{winner},{category}\n" * times
    for a, b, winner, category, times in [
        ("one", "two", "model_a", "code", 30), ("two", "one", "model_a", "", 10), ("two", "three", "model_a", "math", 30),
        ("three", "two", "model_a", "", 12), ("one", "three", "tie", "code", 9), ("one", "three", "both_bad", "", 4),
        ("four", "one", "model_b", "code", 3),
    ]
)  # fmt: skip


def told(*arguments: object) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    return command_line.main([str(one) for one in arguments], out, err), out.getvalue(), err.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, "votes.csv", VOTES)


def test_a_process_of_its_own_prints_the_table_without_settings_or_database(path: Path) -> None:
    left_out = ("DJANGO", "DATABASE", "AGON", "OPENBLAS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    script = (
        "import runpy, sys\n"
        "import ranking.command_line; assert 'numpy' not in sys.modules, 'its threads are set before'\n"
        "try: runpy.run_module('ranking', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as ended: code = ended.code\n"
        "from django.conf import settings; import os\n"
        "print(settings.configured, 'django.db.models' in sys.modules, code, os.environ['OPENBLAS_NUM_THREADS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, env=env, timeout=60
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "False False 0 1", done.stderr
    assert lines[0].split() == ["rank", "model", "rating", "95", "%", "interval", "votes"]
    assert lines[1].split()[1] == "one" and lines[4].split() == ["-", "four", "-", "winless", "3"]
    assert len({len(line) for line in lines[:-1]}) == 1, "columns are aligned"


def test_json_is_the_board_of_the_same_counts(path: Path) -> None:
    code, out, err = told(path, "--json", "--seed", 7, "--replicates", 50)
    battles = [line.split(",") for line in VOTES.splitlines()[1:]]
    outcomes = {"model_a": "first", "model_b": "second"}
    cells = [Cell(a, b, outcomes.get(winner, winner), 1) for a, b, winner, _ in battles]
    board = build(Inputs(tally=Tally.of_cells(cells), seed=7, replicates=50))
    assert (code, err) == (0, "") and json.loads(out) == json.loads(json.dumps(board))


def timed(moments: list[str]) -> str:
    """400 votes of 25 judges, of which the later half prefers what the earlier half does not."""
    rows = (f"{'one,two' if i % 3 else 'two,one'},model_{'ab'[i >= 200]},j{i % 25},{moments[i]}" for i in range(400))
    return "\n".join(["model_a,model_b,winner,judge,at", *rows])


def test_judges_and_times_of_the_file_are_those_of_the_board(tmp_path: Path) -> None:
    days = [f"2026-01-{1 + i // 20:02}T00:00:{i % 20:02}Z" for i in range(400)]
    found = json.loads(told(written(tmp_path, "t.csv", timed(days)), "--json", "--replicates", 50)[1])
    assert found["clusters"]["judges"] == 25 and found["method"]["level"] == "judge"
    assert found["drift"]["periods"] == 4 and found["drift"]["p"] < 1e-6
    for moments in ([""] * 400, ["2026-01-01T00:00:00Z"] * 400):
        still = json.loads(told(written(tmp_path, "s.csv", timed(moments)), "--json", "--replicates", 50)[1])
        assert still["drift"] is None and still["why"]["drift"] == "no_periods", "an order without times says nothing"


def test_rows_without_a_vote_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "votes.jsonl", [samples.UNVOTED, *samples.COMPARIA])
    code, out, err = told(path, "--csv")
    assert (code, err) == (0, f"{path}: 1 rows are of conversations that nobody voted on\n") and out.count("\n") == 4


def test_csv_has_the_figures_of_the_json(path: Path) -> None:
    found = list(csv.DictReader(StringIO(told(path, "--csv")[1])))
    models = json.loads(told(path, "--json")[1])["models"]
    assert [row["model"] for row in found] == [row["model"] for row in models]
    assert [float(row["rating"]) for row in found[:3]] == [row["rating"] for row in models[:3]]
    assert found[3]["rating"] == ""


@pytest.mark.parametrize("prior", command_line.PRIORS)
def test_a_named_prior_gives_every_model_a_figure_and_says_so(path: Path, prior: str) -> None:
    """Model four has lost all its battles: without a prior it has no rating."""
    found = {row["model"]: row for row in csv.DictReader(StringIO(told(path, "--csv", "--prior", prior)[1]))}
    assert (
        found["four"]["standing"] == f"winless; prior {prior}" and found["one"]["standing"] == f"ranked; prior {prior}"
    )
    assert {row["rank"] + row["lower"] + row["upper"] for row in found.values()} == {""}, "no claim is made of these"
    ratings = {name: float(row["rating"]) for name, row in found.items()}
    assert list(found)[-1] == "four" and ratings["one"] > ratings["two"] > ratings["four"] > 0
    assert sum(ratings.values()) == pytest.approx(4000)
    assert [line.split()[0] for line in told(path, "--prior", prior)[1].splitlines()[1:]] == ["-"] * 4


def test_priors_are_all_there_are_and_go_with_nothing_else(path: Path) -> None:
    assert set(command_line.PRIORS) == {*bradley_terry.Prior, *priors.Weak}
    assert told(path, "--prior", "firth", "--ties", "davidson")[0::2] == (
        2, f"{path}: --prior is for half-win: leave --ties out\n",
    )  # fmt: skip
    code, out, err = told(path, "--prior", "firth", "--json")
    assert (code, out) == (2, "") and "leave --ties and --prior out" in err


def test_a_category_is_ranked_by_its_votes_alone(path: Path) -> None:
    code, out, _err = told(path, "--category", "code", "--csv")
    assert code == 0
    assert {row["model"]: row["votes"] for row in csv.DictReader(StringIO(out))} == {
        "one": "42",
        "two": "30",
        "three": "9",
        "four": "3",
    }
    assert told(path, "--category", "german")[0::2] == (
        2, f"{path}: no vote counts in the category 'german'; there are: code, math\n",
    )  # fmt: skip


def test_the_laws_of_ties_that_can_be_asked_for_are_all_there_are() -> None:
    assert set(command_line.TIES) == {command_line.spelled(law.name) for law in LAWS}


@pytest.mark.parametrize("law", command_line.TIES[1:])
def test_other_laws_of_ties(law: str, path: Path) -> None:
    code, out, err = told(path, "--ties", law, "--csv")
    assert (code, err) == (0, "")
    ranked = [row for row in csv.DictReader(StringIO(out)) if row["rank"]]
    assert [row["model"] for row in ranked] == ["one", "two", "three"]
    assert sum(float(row["rating"]) for row in ranked) == pytest.approx(3000)
    for row in ranked:
        assert float(row["lower"]) < float(row["rating"]) < float(row["upper"])
        assert float(row["upper"]) - float(row["rating"]) == pytest.approx(float(row["rating"]) - float(row["lower"]))
        assert 1 <= int(row["rank"]) <= int(row["rank_worst"]) <= 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model_a,model_b,winner\na,b,left\n", "line 2: unknown winner 'left'"),
        ("model_a,model_b,winner\na,a,tie\nb,b,tie\n", "line 2: 'a' against itself (and 1 more)"),
        ("model_a,winner\na,tie\n", "line 2: columns are missing"),
        ("", "there is no vote in the file"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(text: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", text)
    code, out, err = told(path)
    assert (code, out) == (2, "") and err.startswith(f"{path}: {said}") and err.count("\n") == 1


def test_asking_for_what_cannot_be_done(path: Path, tmp_path: Path) -> None:
    assert told(tmp_path / "none.csv")[0] == 2
    assert "leave --ties and --prior out" in told(path, "--json", "--ties", "drop")[2]
    no_ties = written(tmp_path, "n.csv", "model_a,model_b,winner\n" + "a,b,model_a\na,b,model_b\n" * 3)
    code, _out, err = told(no_ties, "--ties", "davidson")
    assert code == 2 and "Davidson" in err
    hidden = written(tmp_path, "h.jsonl", [samples.LMSYS[4]])
    assert told(hidden)[0::2] == (2, f"{hidden}: no vote counts\n")
    for wrong in (["--replicates", "0"], ["--seed", "-1"], ["--ties", "maybe"], ["--json", "--csv"]):
        with pytest.raises(SystemExit) as ended:
            told(path, *wrong)
        assert ended.value.code == 2


def test_real_votes_are_ranked() -> None:
    path = real_votes.file("llmfao_crowd.csv")
    models = json.loads(told(path, "--json", "--replicates", 20)[1])["models"]
    reference = json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())["llmfao_crowd"]
    exact = reference["statsmodels_glm_mean1000"]
    assert len(models) == len(exact) == 59
    assert max(abs(row["rating"] - exact[row["model"]]) for row in models) < 1e-6


def test_intervals_are_by_judge_where_the_file_names_judges() -> None:
    """As on the board of an import of the same file."""
    path = real_votes.file("llmfao_crowd.csv")
    board = json.loads(told(path, "--json", "--replicates", 20)[1])
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    outcomes = {"model_a": "first", "model_b": "second"}
    cells = [(row["model_a"], row["model_b"], outcomes.get(row["winner"], row["winner"]), 1) for row in rows]
    tally = Tally.of_cells(Cell(*cell) for cell in cells)
    judged = (JudgeCell(row["judge"], *cell) for row, cell in zip(rows, cells, strict=True))
    judges = JudgeTally.of_cells(judged, tally.models)
    se = PER_LOGIT * few_judges.clustered(judges, fit(tally.pairs()).theta).se
    assert board["method"]["level"] == "judge" and judges.total == 8931
    assert {row["model"]: row["se"] for row in board["models"]} == pytest.approx(
        dict(zip(tally.models, se.tolist(), strict=True)), rel=1e-9
    )


def piped(path: Path, out: object, **env: str) -> tuple[int, str]:
    """Exit code and stderr of a process that writes its table to `out`."""
    command = [sys.executable, "-m", "ranking", str(path), "--replicates", "20"]
    done = subprocess.run(
        command, stdout=out, stderr=subprocess.PIPE, text=True, env=os.environ | env, timeout=60
    )  # fmt: skip
    return done.returncode, done.stderr


def test_an_output_that_cannot_be_written_is_one_line_and_exit_code_2(path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "w") as full, os.fdopen(writing, "w") as nobody:
        for out, said in ((full, "No space left"), (nobody, "Broken pipe")):
            code, err = piped(path, out, PYTHONUNBUFFERED="")
            assert code == 2 and said in err and err.count("\n") == 1, err
    closed = f"exec {sys.executable} -m ranking {path} --replicates 20 >&-"
    done = subprocess.run(["sh", "-c", closed], stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr == f"{path}: there is no standard output to write to\n"


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", "model_a,model_b,winner\né,y,tie\n")
    with (tmp_path / "out").open("w") as out:
        assert piped(path, out, PYTHONIOENCODING="ascii") == (0, "")
    assert "\\xe9" in (tmp_path / "out").read_text()


def test_a_message_is_one_line_whatever_the_file_holds(tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", '"model\na",winner\nx,tie\n')
    code, _out, err = told(path)
    assert code == 2 and err.count("\n") == 1 and "model a" in err


def test_a_board_beyond_all_floats_is_one_line(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(bradley_terry, "MAX_ITERATIONS", 1)
    assert told(path)[0::2] == (2, f"{path}: no convergence in 1 Newton steps\n")


@pytest.mark.parametrize("way", ["ties", "cancelled"])
def test_a_board_without_any_spread_is_json_without_nan(way: str, tmp_path: Path) -> None:
    """25 judges who always tie, or who vote once each way: no ratio of variances can be told."""
    winners = ("tie", "tie") if way == "ties" else ("model_a", "model_b")
    lines = [f"{a},{b},{winner},j{judge}\n" for judge in range(25) for a, b in ("xy", "yz") for winner in winners]
    code, out, err = told(written(tmp_path, "v.csv", "model_a,model_b,winner,judge\n" + "".join(lines)), "--json")
    assert (code, err) == (0, "")
    board = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert board["method"]["level"] == "battle"
    assert board["clusters"] is None and board["why"]["clusters"] == "no_spread"
    assert all(row["se"] > 0 for row in board["models"])
    assert [row["rank_lower"] for row in board["models"]] == [1, 1, 1]
