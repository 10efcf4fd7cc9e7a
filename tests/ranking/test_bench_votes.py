"""`make bench NAME=ranking ARGS="--votes FILE"`: what it makes of a file, and what it says of a wrong one."""

import json
import subprocess
import sys
from pathlib import Path
from time import process_time

import numpy as np
import pytest

from ranking import command_line
from ranking.estimators.style_rows import contrast
from tests.bench import _rating_boards, _rating_peers
from tests.ranking import real_votes
from tests.ranking.imports import samples
from tests.ranking.imports.samples import written


def test_it_reads_the_votes_that_the_command_line_ranks() -> None:
    path = real_votes.file("llmfao_crowd.csv")
    battles = _rating_boards.read(path)
    whole = command_line.read(path).tally()
    assert battles.models == whole.models
    for name in ("first", "second", "first_was_a", "outcome", "count"):
        np.testing.assert_array_equal(getattr(battles.tally(), name), getattr(whole, name))
    assert battles.judge is not None and len(np.unique(battles.judge)) == 124
    assert battles.features is not None and battles.features.shape == (8931, 4)


def test_style_counts_go_to_their_side_and_feature(tmp_path: Path) -> None:
    names = [f"{name}_{side}" for name in ("chars", "headers", "lists", "bold") for side in ("a", "b")]
    numbers = [100, 40, 3, 1, 0, 7, 2, 9]
    text = f"model_a,model_b,winner,{','.join(names)}\nx,y,tie,{','.join(map(str, numbers))}\n"
    battles = _rating_boards.read(written(tmp_path, "v.csv", text))
    assert battles.judge is None
    np.testing.assert_allclose(battles.features, contrast([numbers[0::2]], [numbers[1::2]]), rtol=1e-6)


def test_votes_that_do_not_count_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, "v.jsonl", samples.LMSYS)
    assert len(_rating_boards.read(path).a) == command_line.read(path).tally().total < len(samples.LMSYS)


def test_a_wrong_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", "model_a,model_b,winner\nx,y,left\n")
    command = [sys.executable, "-m", "tests.bench.ranking", "--smoke", "--votes", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}: line 2: unknown winner 'left'") and done.stderr.count("\n") == 1


def test_votes_without_spread_are_json_without_nan(tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", "model_a,model_b,winner\n" + "x,y,tie\n" * 9)
    command = [sys.executable, "-m", "tests.bench.ranking", "--smoke", "--votes", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
    found = json.loads(done.stdout.splitlines()[-1], parse_constant=pytest.fail)
    assert found["half_width_vs_sandwich"] is None and found["why_half_width_vs_sandwich"] == "the votes have no spread"
    assert found["battles"] == 9 and found["style_cpu_s"] is None


def test_a_replicate_too_quick_for_the_clock_is_told_from_more_of_them() -> None:
    """The difference of two calls on a small file was negative."""
    asked = []

    def run(count: int) -> None:
        asked.append(count)
        end = process_time() + 0.0005 * count
        while process_time() < end:
            pass

    assert _rating_peers._per_replicate(run, 3) == pytest.approx(0.0005, rel=0.3)
    assert asked == [1, 1, 4, 1, 13, 1, 49, 1, 193]
    assert _rating_peers._per_replicate(lambda _count: None, 3) >= 0
