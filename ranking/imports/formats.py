"""What a record of each known file means: LMSYS conversations, arena preference sets, ComparIA votes, our plain table.

Facts of the formats: the data sets' cards (lmsys/chatbot_arena_conversations, lmsys/lmsys-arena-human-preference-55k,
lmarena-ai/arena-human-preference-100k and -140k, ministere-culture/comparia-votes). A winner that a format does not know is an
error: FastChat and arena-rank count it as a tie.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ranking import categories
from ranking.imports.row import Record, Row
from ranking.imports.values import at, count, flag, integer, text

WINNERS = {"model_a": "a", "model_b": "b", "tie": "tie", "tie (bothbad)": "both_bad", "both_bad": "both_bad"}
STYLED = ("chars", "headers", "lists", "bold")
HARD = 6  # of the seven criteria
TOKEN_BOUNDS = {"short_prompt": (0, 25), "long_prompt": (500, None)}  # of all the user said, both ends included


class Format(NamedTuple):
    name: str
    marks: tuple[str, ...]  # a file with all of these columns (and one of `also`) is taken for this format
    also: tuple[str, ...]
    wants: tuple[str, ...]  # columns that must be there
    reads: tuple[str, ...]  # further columns that are used
    row: Callable[[int, Record], Row]


def _pair(record: Record, a: str = "model_a", b: str = "model_b") -> tuple[str, str]:
    first, second = text(record, a, needed=True), text(record, b, needed=True)
    if first == second:
        raise ValueError(f"{first!r} against itself")
    return first, second


def _winner(record: Record) -> str:
    said = text(record, "winner", needed=True)
    if said not in WINNERS:
        raise ValueError(f"unknown winner {said!r}: expected {', '.join(WINNERS)}")
    return WINNERS[said]


def _language(record: Record) -> list[str]:
    found = categories.of_language(text(record, "language"))
    return [found] if found else []


def _lmsys(line: int, record: Record) -> Row:
    a, b = _pair(record)
    labels = _language(record) + ["multi_turn"] * ((integer(record, "turn") or 1) > 1)
    return Row(
        line, a, b, _winner(record), text(record, "question_id"), text(record, "judge"), at(record, "tstamp"),
        tuple(labels), ranked=flag(record, "anony") is not False,
    )  # fmt: skip


def _kaggle(line: int, record: Record) -> Row:
    a, b = _pair(record)
    ends = {"a": "winner_model_a", "b": "winner_model_b", "tie": "winner_tie"}
    said = [choice for choice, column in ends.items() if flag(record, column)]
    if len(said) != 1:
        raise ValueError(f"{len(said)} of {', '.join(ends.values())} are set where one must be")
    return Row(line, a, b, said[0], text(record, "id"))


def _preference(line: int, record: Record) -> Row:
    a, b = _pair(record)
    facts = record.get("conv_metadata") or {}
    labels = [*_language(record), *_tags(record.get("category_tag") or {}, _language(record)), *_shape(facts)]
    if flag(record, "is_code"):
        labels.append("code")
    judge = text(record, "evaluation_session_id") or text(record, "judge_hash") or text(record, "judge")
    return Row(
        line, a, b, _winner(record), text(record, "id") or text(record, "question_id"), judge,
        at(record, "timestamp") or at(record, "tstamp"), tuple(dict.fromkeys(labels)), _arena_style(facts),
        flag(record, "anony") is not False,
    )  # fmt: skip


def _tags(tags: dict[str, Any], language: list[str]) -> list[str]:
    """`criteria_v0.1`, `math_v0.1` ...: a later version of the classifier has another number."""
    of = {name.partition("_v")[0]: found or {} for name, found in tags.items()}
    hard = sum(value is True for value in of.get("criteria", {}).values()) >= HARD
    named = {
        "hard_prompt": hard,
        "hard_english": hard and language == ["english"],
        "math": of.get("math", {}).get("math"),
        "instruction_following": of.get("if", {}).get("if"),
        "creative_writing": of.get("creative_writing", {}).get("creative_writing"),
    }
    return [name for name, inside in named.items() if inside is True]


def _shape(facts: dict[str, Any]) -> list[str]:
    tokens, found = facts.get("sum_user_tokens"), []
    if isinstance(tokens, int | float):
        found = [
            name for name, (low, high) in TOKEN_BOUNDS.items() if low <= tokens and (high is None or tokens <= high)
        ]
    return found + ["multi_turn"] * ((facts.get("turns") or 1) > 1)


def _arena_style(facts: dict[str, Any]) -> tuple[int, ...] | None:
    """Lengths are tokens here; a heading, item or bold count is a sum over its kinds."""
    if "sum_assistant_a_tokens" not in facts:
        return None
    names = ("sum_assistant_{}_tokens", "header_count_{}", "list_count_{}", "bold_count_{}")
    return tuple(count(facts, name.format(side)) for name in names for side in ("a", "b"))


def _comparia(line: int, record: Record) -> Row:
    a, b = _pair(record, "model_a_name", "model_b_name")
    equal, chosen = flag(record, "both_equal"), text(record, "chosen_model_name")
    if bool(equal) == bool(chosen):
        raise ValueError("both_equal and chosen_model_name: one of the two must be given, and not both")
    if chosen and chosen not in (a, b):
        raise ValueError(f"chosen_model_name {chosen!r} is neither {a!r} nor {b!r}")
    judge = text(record, "visitor_id") or text(record, "session_hash")
    labels = ["multi_turn"] * ((integer(record, "conv_turns") or 1) > 1)
    choice = "tie" if equal else "a" if chosen == a else "b"
    return Row(
        line, a, b, choice, text(record, "id") or text(record, "conversation_pair_id"), judge, at(record, "timestamp"),
        tuple(labels),
    )  # fmt: skip


def _plain(line: int, record: Record) -> Row:
    a, b = _pair(record)
    labels = _language(record)
    for name in (text(record, "categories") or text(record, "category")).replace(";", " ").replace(",", " ").split():
        if categories.known(name) is None:
            raise ValueError(f"unknown category {name!r}: expected topic_..., {', '.join(categories.ALL)}")
        labels.append(name)
    style = None
    if all(f"{name}_{side}" in record for name in STYLED for side in ("a", "b")):
        style = tuple(count(record, f"{name}_{side}") for name in STYLED for side in ("a", "b"))
    return Row(
        line, a, b, _winner(record), text(record, "id"), text(record, "judge"), at(record, "at"),
        tuple(dict.fromkeys(labels)), style,
    )  # fmt: skip


FORMATS = (
    Format(
        "comparia", ("model_a_name", "model_b_name"), ("chosen_model_name", "both_equal"),
        ("model_a_name", "model_b_name", "chosen_model_name", "both_equal"),
        ("id", "conversation_pair_id", "visitor_id", "session_hash", "timestamp", "conv_turns"), _comparia,
    ),
    Format(
        "arena", ("winner_model_a",), ("winner_model_b", "winner_tie"),
        ("model_a", "model_b", "winner_model_a", "winner_model_b", "winner_tie"), ("id",), _kaggle,
    ),
    Format(
        "arena", ("model_a", "winner"), ("evaluation_session_id", "conv_metadata", "category_tag", "is_code"),
        ("model_a", "model_b", "winner"),
        ("id", "question_id", "evaluation_session_id", "judge_hash", "judge", "timestamp", "tstamp", "anony", "language",
         "is_code", "conv_metadata", "category_tag"), _preference,
    ),
    Format(
        "lmsys", ("model_a", "winner"), ("tstamp", "conversation_a", "anony", "turn"),
        ("model_a", "model_b", "winner"), ("question_id", "judge", "tstamp", "turn", "anony", "language"), _lmsys,
    ),
    Format(
        "csv", ("winner",), ("model_a", "model_b"), ("model_a", "model_b", "winner"),
        ("id", "judge", "at", "language", "categories", "category", *(f"{n}_{s}" for n in STYLED for s in "ab")), _plain,
    ),
)  # fmt: skip
NAMES = tuple(dict.fromkeys(one.name for one in FORMATS))
COLUMNS = tuple(dict.fromkeys(column for one in FORMATS for column in (*one.marks, *one.also, *one.wants, *one.reads)))


def choose(columns: set[str], name: str = "auto") -> Format | None:
    """The format of a file with these columns; None when it is none of them, or none of that name."""
    for one in FORMATS:
        told = columns >= set(one.marks) and columns & set(one.also) if name == "auto" else name == one.name
        if told and columns >= set(one.wants):
            return one
    return None
