"""What a record of each known file means, and what is refused in it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ranking.imports import formats
from ranking.imports.reading import format_of, rows
from ranking.imports.row import BadFile
from tests.ranking.imports import samples
from tests.ranking.imports.samples import written


def test_lmsys_conversations(tmp_path: Path) -> None:
    path = written(tmp_path, "33k.jsonl", samples.LMSYS)
    found = list(rows(path))
    assert format_of(path) == "lmsys"
    assert [(row.model_a, row.model_b, row.choice) for row in found[:2]] == [
        ("koala", "alpaca", "a"),
        ("alpaca", "vicuna", "b"),
    ]
    assert [row.choice for row in found[2:4]] == ["tie", "both_bad"]
    assert [row.categories for row in found[:3]] == [("english",), ("german", "multi_turn"), ()]
    assert [row.judge for row in found[:2]] == ["arena_user_0", "arena_user_1"]
    assert [row.ranked for row in found] == [True, True, True, True, False], (
        "a vote on named models is kept and never counted"
    )
    assert found[0].at == datetime.fromtimestamp(1682351591.1322, UTC)
    assert [row.key for row in found] == ["q0", "q1", "q2", "q3", "q4"]


def test_arena_preferences_with_style_tags_and_sessions(tmp_path: Path) -> None:
    path = written(tmp_path, "140k.parquet", samples.PREFERENCE)
    found = list(rows(path))
    assert format_of(path) == "arena"
    assert [row.choice for row in found] == ["a", "b", "tie", "both_bad"]
    assert found[1].style == (101, 200, 6, 0, 5, 0, 2, 4)
    assert set(found[0].categories) == {
        "english",
        "hard_prompt",
        "hard_english",
        "instruction_following",
        "long_prompt",
        "multi_turn",
        "code",
    }
    assert [row.judge for row in found] == ["s0", "s0", "s1", "s1"]
    assert found[0].at == datetime(2025, 6, 1, 12, tzinfo=UTC)


def test_five_of_seven_criteria_are_not_hard_and_a_german_hard_prompt_is_not_hard_english() -> None:
    record = samples.preference(0, "tie", language="de")
    german = formats.choose(set(record)).row(1, record).categories  # type: ignore[union-attr]
    assert "hard_prompt" in german and "hard_english" not in german and "german" in german
    record["category_tag"]["criteria_v0.1"]["complexity"] = False
    assert "hard_prompt" not in formats.choose(set(record)).row(1, record).categories  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tokens", "category"), [(0, "short_prompt"), (25, "short_prompt"), (26, ""), (499, ""), (500, "long_prompt")]
)
def test_bounds_of_long_and_short_prompts_in_tokens(tokens: int, category: str) -> None:
    record = samples.preference(0, "tie")
    record["conv_metadata"]["sum_user_tokens"] = tokens
    found = set(formats.choose(set(record)).row(1, record).categories)  # type: ignore[union-attr]
    assert found & {"short_prompt", "long_prompt"} == {category} - {""}


def test_the_kaggle_table(tmp_path: Path) -> None:
    found = list(rows(written(tmp_path, "train.csv", samples.KAGGLE)))
    assert [(row.line, row.model_a, row.choice, row.key) for row in found] == [
        (2, "m1", "a", "1"),
        (4, "m2", "b", "2"),
        (5, "m1", "tie", "3"),
    ]


def test_comparia_votes(tmp_path: Path) -> None:
    path = written(tmp_path, "votes.parquet", samples.COMPARIA)
    found = list(rows(path))
    assert format_of(path) == "comparia"
    assert [(row.model_a, row.model_b, row.choice) for row in found] == [
        ("m1", "m2", "b"),
        ("m1", "m2", "tie"),
        ("m3", "m2", "a"),
    ]
    assert [(row.judge, row.categories) for row in found] == [("v", ("multi_turn",)), ("v", ()), ("", ())]


def test_the_plain_table(tmp_path: Path) -> None:
    first, second = rows(written(tmp_path, "votes.csv", samples.PLAIN))
    assert (first.choice, first.judge, first.style) == ("a", "j1", (10, 20, 1, 2, 3, 4, 5, 6))
    assert set(first.categories) == {"english", "code", "math"}
    assert (second.choice, second.categories, second.line) == ("both_bad", (), 3)


@pytest.mark.parametrize("extra", ["tstamp", "turn", "anony", "is_code", "evaluation_order"])
def test_a_plain_table_keeps_its_style_beside_columns_of_other_formats(extra: str, tmp_path: Path) -> None:
    table = [f"{line},{value}" for line, value in zip(samples.PLAIN.splitlines(), (extra, "1", "1"), strict=True)]
    if extra == "tstamp":
        table[1:] = [line.removesuffix("1") + "1700000000" for line in table[1:]]
    found = list(rows(written(tmp_path, "v.csv", "\n".join(table))))
    assert [row.style for row in found] == [(10, 20, 1, 2, 3, 4, 5, 6), (1, 1, 0, 0, 0, 0, 0, 0)]
    assert [(row.judge, row.choice, row.ranked) for row in found] == [("j1", "a", True), ("j2", "both_bad", True)]


def test_categories_may_be_a_list(tmp_path: Path) -> None:
    named = [["code", "math"], [], None, "code"]
    path = written(tmp_path, "v.jsonl", [PLAIN | {"categories": one} for one in named])
    assert [row.categories for row in rows(path)] == [("code", "math"), (), (), ("code",)]


PLAIN = {"model_a": "a", "model_b": "b", "winner": "tie"}


TOO_MUCH: dict = {"sum_assistant_a_tokens": 1, "sum_assistant_b_tokens": 1, "header_count_a": {"h1": 2e9, "h2": 2e9}}


def broken(**changes: Any) -> dict[str, Any]:
    return samples.LMSYS[0] | changes


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (broken(winner="left"), "unknown winner 'left'"),
        (broken(winner="Tie"), "unknown winner 'Tie'"),
        (broken(winner=""), "winner is missing"),
        (broken(winner=None), "winner is missing"),
        (broken(winner=float("nan")), "winner is missing"),
        (broken(model_b="koala"), "'koala' against itself"),
        (broken(model_b=" koala "), "'koala' against itself"),
        (broken(model_a=""), "model_a is missing"),
        (broken(model_a={"name": "koala"}), "model_a is"),
        (broken(model_a="x" * 301), "more than 300 characters"),
        (broken(model_a="a\x1bb"), "cannot be printed"),
        (broken(turn="two"), "turn is 'two' where a whole number"),
        (broken(turn=1.5), "turn is 1.5"),
        (broken(tstamp="yesterday"), "where a time is expected"),
        (broken(tstamp=1e10), "not between 2000 and 2100"),
        (broken(anony="perhaps"), "where true or false is expected"),
        (samples.COMPARIA[0] | {"both_equal": True}, "one of the two must be"),
        (samples.TURNS[0] | {"choice": "a"}, "unknown choice 'a': expected a_better, "),
        (samples.SEARCHES[0] | {"winner": "x"}, "unknown winner 'x'"),
        (broken(winner="tie (inconsistent)"), "unknown winner 'tie (inconsistent)'"),
        (samples.COMPARIA[0] | {"chosen_model_name": "m9"}, "'m9' is neither"),
        (samples.preference(0, "tie", conv_metadata={"sum_assistant_a_tokens": 1}), "sum_assistant_b_tokens is missing"),
        (samples.preference(0, "tie", conv_metadata=TOO_MUCH), "header_count_a adds up to 4000000000, more than"),
        (samples.preference(0, "tie", category_tag=["math"]), "category_tag is ['math'] where named values"),
        (samples.preference(0, "tie", category_tag={"math_v0.1": 3}), "wrong shape"),
        (PLAIN | {"categories": "poetry"}, "unknown category 'poetry'"),
        (PLAIN | {"categories": [["code"]]}, "unknown category ['code']"),
    ],
)  # fmt: skip
def test_what_is_refused_is_said_with_its_line(record: dict[str, Any], said: str, tmp_path: Path) -> None:
    same = (
        samples.LMSYS[1], samples.COMPARIA[1], samples.preference(1, "tie"), PLAIN, samples.TURNS[1], samples.SEARCHES[0],
    )  # fmt: skip
    good = min(same, key=lambda one: len(set(one) ^ set(record)))
    path = written(tmp_path, "votes.jsonl", [good, record])
    with pytest.raises(BadFile) as bad:
        list(rows(path))
    (problem,) = bad.value.problems
    assert problem.line == 2 and said in problem.what, problem


@pytest.mark.parametrize("ends", ["0,0,0", "1,1,0", ",,"])
def test_a_kaggle_row_with_none_or_two_winners_is_refused(ends: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="line 2: . of winner_model_a"):
        list(rows(written(tmp_path, "t.csv", samples.KAGGLE.splitlines()[0] + f"\n1,m1,m2,p,x,y,{ends}\n")))


@pytest.mark.parametrize(
    ("name", "columns"), [("auto", {"a", "b"}), ("comparia", {"model_a", "winner"}), ("arena", {"model_a", "model_b"})]
)
def test_files_of_no_known_format_are_none(name: str, columns: set[str]) -> None:
    assert formats.choose(columns, name) is None


def test_reactions_are_not_taken_for_votes(tmp_path: Path) -> None:
    """ComparIA publishes reactions to single messages beside the votes."""
    reaction = {"model_a_name": "m1", "model_b_name": "m2", "refers_to_model": "m1", "liked": True}
    with pytest.raises(BadFile, match="columns are missing"):
        list(rows(written(tmp_path, "reactions.jsonl", [reaction])))
