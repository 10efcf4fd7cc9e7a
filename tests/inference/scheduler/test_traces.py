"""Traces from files: what the benches `fairness` and `locality` take from others, and what they say to what is no trace."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.arrivals import Job
from tests.bench import fairness, locality
from tests.bench._workloads import TraceError, read_trace

PLAIN, GROUPS = (
    "req_time_s,client,prompt_len,output_len",
    "req_time_s,client,prefix_group,prefix_len,suffix_len,output_len",
)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_both_formats_are_read_in_order_of_time(tmp_path: Path) -> None:
    assert read_trace(written(tmp_path, PLAIN, "2.5,b,7,3", "1,a,0,0")) == [Job(1.0, "a", 1, 1), Job(2.5, "b", 7, 3)]
    found = read_trace(written(tmp_path, GROUPS, "0,a,doc,100,5,3", "1,a,,0,5,3", "2,b,doc,100,0,3"))
    assert found == [Job(0.0, "a", 105, 3, "doc", 100), Job(1.0, "a", 5, 3), Job(2.0, "b", 100, 3, "doc", 100)]


def test_times_may_begin_before_zero(tmp_path: Path) -> None:
    assert [job.at for job in read_trace(written(tmp_path, PLAIN, "-5,a,1,1", "1,a,1,1"))] == [0.0, 6.0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([PLAIN], "no requests"),
        (["time,client", "1,a"], "no column req_time_s"),
        (["req_time_s,client,output_len,prefix_len", "1,a,1,1"], "no column prefix_group"),
        ([PLAIN, "1,a,5,5", "1,a,x,5"], "line 3: invalid literal"),
        ([PLAIN, "1,a,5"], "line 2"),
        ([PLAIN, "nan,a,5,5"], "line 2: nan is no time"),
        ([PLAIN, "1,a,-5,5"], "line 2: prompt_len is -5"),
        (["\x00\x01garbage"], "no column"),
    ],
)
@pytest.mark.parametrize("bench", [fairness, locality])
def test_what_is_no_trace_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: object, lines: list[str], said: str
) -> None:
    path = written(tmp_path, *lines)
    monkeypatch.setattr(sys, "argv", ["bench", "--trace", str(path), "--smoke"])
    with pytest.raises(SystemExit) as error:
        bench.main()  # type: ignore[attr-defined]
    message = str(error.value.code)
    assert str(path) in message and said in message and "\n" not in message


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00\xd8")
    for path in (tmp_path / "none.csv", tmp_path, binary):
        with pytest.raises(TraceError, match=str(path)):
            read_trace(path)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_trace_or_an_error_in_one_line(text: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", errors="replace") as file:
        file.write(f"{PLAIN}\n{text}")
        file.flush()
        try:
            found: object = read_trace(Path(file.name))
        except TraceError as error:
            found = str(error)
    assert found and (isinstance(found, list) or "\n" not in str(found))


@pytest.mark.parametrize(
    "jobs",
    [
        [Job(0.0, "only", 5, 1)],
        [Job(0.0, "only", 5, 3)] * 4,
        [Job(float(i), f"c{i % 5}", 9_000 + i, 700, f"p{i % 2}", 100) for i in range(10)],
        [Job(0.0, "large", 20_000, 5), Job(0.1, "small", 5, 5)],
        [Job(0.0, "large", 20_000, 5)],
    ],
)
def test_tiny_and_odd_traces_have_figures(jobs: list[Job]) -> None:
    for policy in fairness.POLICIES:
        row = fairness.row(policy, fairness.Window.over(max(1.0, jobs[-1].at)), jobs)
        assert row["rejected"] == 0 or policy == "rpm"
        assert row["too_large"] == sum(job.input_len - job.prefix_len + job.output_len >= 10_000 for job in jobs)
        assert all(value >= 0 for value in row.values())
    for policy in locality.POLICIES:
        score = locality.one(policy, 8_000, jobs)
        assert 0 <= score.hit <= 1 and score.rps >= 0
        assert score.unfairness <= locality.bound(jobs)
