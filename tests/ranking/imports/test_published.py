"""Peculiarities of published data sets: rows without a vote, ids that are of no vote, moments and structs as pandas has them."""

from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pandas
import pytest

from ranking.imports.reading import format_of, rows
from ranking.imports.row import BadFile, Row
from tests.ranking.imports import samples
from tests.ranking.imports.samples import written


def test_rows_that_nobody_voted_on_are_counted_and_passed_over(tmp_path: Path) -> None:
    for name, records, votes in (
        ("comparia.parquet", [samples.UNVOTED, *samples.COMPARIA], 3),
        ("turns.parquet", samples.TURNS, 4),
        ("search.jsonl", samples.SEARCHES, 1),
    ):
        passed = count()
        found = list(rows(written(tmp_path, name, records), unvoted=lambda passed=passed: next(passed)))
        assert (len(found), next(passed)) == (votes, len(records) - votes), name
    with pytest.raises(BadFile, match="there is no vote in the file"):
        list(rows(written(tmp_path, "none.jsonl", [samples.UNVOTED])))


def test_the_first_vote_on_a_comparia_conversation_counts(tmp_path: Path) -> None:
    pairs = zip(samples.COMPARIA, ("p", "p", "q"), strict=True)
    path = written(tmp_path, "v.jsonl", [one | {"conversation_pair_id": pair} for one, pair in pairs])
    assert [row.ranked for row in rows(path)] == [True, False, True]


def test_comparia_by_turns(tmp_path: Path) -> None:
    path = written(tmp_path, "turns.parquet", samples.TURNS)
    found = list(rows(path))
    assert format_of(path) == "comparia"
    assert [(row.choice, row.judge, row.key) for row in found] == [
        ("a", "c0", "r0"), ("b", "c0", "r1"), ("tie", "c1", "r2"), ("both_bad", "c1", "r3"),
    ]  # fmt: skip
    assert [row.categories for row in found] == [("french",), ("multi_turn",), (), ("english",)]


def test_the_question_of_mt_bench_is_no_id_of_a_vote(tmp_path: Path) -> None:
    found = list(rows(written(tmp_path, "judgments.jsonl", samples.JUDGMENTS)))
    assert [(row.key, row.judge, row.choice) for row in found] == [
        ("", "expert_1", "a"), ("", "expert_2", "tie"), ("", "gpt-4 pair-v2", "tie"),
    ]  # fmt: skip


def test_a_search_has_a_judge_a_language_and_turns(tmp_path: Path) -> None:
    (row,) = rows(written(tmp_path, "s.jsonl", samples.SEARCHES))
    assert (row.judge, row.choice, set(row.categories)) == ("h", "both_bad", {"english", "multi_turn"})
    assert row.at == datetime(2025, 3, 18, 16, 39, 0, 550000, UTC)


def told(path: Path) -> list[Row]:
    return [row._replace(line=0) for row in rows(path)]


@pytest.mark.parametrize(
    "records", [samples.PREFERENCE, samples.COMPARIA, samples.TURNS], ids=["arena", "votes", "turns"]
)
def test_what_pandas_writes_is_read_as_the_parquet_file(records: list[dict[str, Any]], tmp_path: Path) -> None:
    """Its tables spell structs as Python does, its JSON lines give moments in milliseconds."""
    frame = pandas.DataFrame(records)
    frame["timestamp"] = pandas.to_datetime(frame["timestamp"])
    frame.to_parquet(tmp_path / "v.parquet")
    frame.to_csv(tmp_path / "v.csv", index=False)
    frame.to_csv(tmp_path / "v.tsv", index=False, sep="\t")
    frame["timestamp"] = frame["timestamp"].dt.as_unit("ms").astype("int64")  # its default until version 4
    frame.to_json(tmp_path / "v.jsonl", orient="records", lines=True)
    whole = told(tmp_path / "v.parquet")
    assert len(whole) >= 3 and all(row.at for row in whole)
    for name in ("v.csv", "v.tsv", "v.jsonl"):
        assert told(tmp_path / name) == whole, name


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("second", [946_684_800, 1_700_000_000, 4_102_444_800])
def test_a_moment_in_any_unit_is_the_same(second: int, unit: int, tmp_path: Path) -> None:
    path = written(tmp_path, "v.jsonl", [{"model_a": "a", "model_b": "b", "winner": "tie", "at": second * unit}])
    assert [row.at for row in rows(path)] == [datetime.fromtimestamp(second, UTC)]


@pytest.mark.parametrize("spelt", ["{", "[1]", "7", "{'a': object()}", "{" * 5000, "{'a': 1" + " " * 100_001 + "}"])
def test_a_struct_that_is_none_is_an_error_with_its_line(spelt: str, tmp_path: Path) -> None:
    path = written(tmp_path, "v.jsonl", [samples.preference(0, "tie", conv_metadata=spelt)])
    with pytest.raises(BadFile, match="line 1: conv_metadata is .* where named values are expected"):
        list(rows(path))


def test_style_counts_that_are_all_unsaid_are_no_style(tmp_path: Path) -> None:
    unsaid = dict.fromkeys(samples.PREFERENCE[0]["conv_metadata"])
    (row,) = rows(written(tmp_path, "v.jsonl", [samples.preference(0, "tie", conv_metadata=unsaid)]))
    assert row.style is None
    first, second = rows(written(tmp_path, "v.csv", samples.PLAIN.replace(",10,20,1,2,3,4,5,6", "," * 8)))
    assert first.style is None and second.style == (1, 1, 0, 0, 0, 0, 0, 0)
    with pytest.raises(BadFile, match="line 2: lists_b is missing"):
        list(rows(written(tmp_path, "w.csv", samples.PLAIN.replace(",3,4,", ",3,,"))))
