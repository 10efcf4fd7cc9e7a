"""What a record of each known file means: LMSYS conversations, arena preference sets, ComparIA votes, our plain table.

Facts of the formats: the data sets' cards and their publishers' code, with versions in docs/importing.md. A winner that a format
does not know is an error: FastChat and arena-rank count it as a tie. Where a data set publishes conversations that nobody voted
on beside the votes, their rows are None.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ranking import categories
from ranking.imports.row import Record, Row
from ranking.imports.values import EMPTY, at, count, flag, integer, spelled, struct, text

WINNERS = {"model_a": "a", "model_b": "b", "tie": "tie", "tie (bothbad)": "both_bad", "both_bad": "both_bad"}
FLIPPED = "tie (inconsistent)"  # MT-bench: a model as judge preferred the first answer in both orders, or the second
CHOICES = {"a_better": "a", "b_better": "b", "both_good": "tie", "both_bad": "both_bad"}  # ComparIA's, by turn
NO_CHOICE = ("", "idk")
STYLE = ("chars_{}", "headers_{}", "lists_{}", "bold_{}")
OWN = tuple(name.format(side) for name in STYLE for side in "ab")
ARENA_STYLE = ("sum_assistant_{}_tokens", "header_count_{}", "list_count_{}", "bold_count_{}")  # headings ... by kind
HARD = 6  # of the seven criteria
TOKEN_BOUNDS = {"short_prompt": (0, 25), "long_prompt": (500, None)}  # of all the user said, both ends included


class Format(NamedTuple):
    name: str
    marks: tuple[str, ...]  # a file with all of these columns (and one of `also`) is taken for this format
    also: tuple[str, ...]
    wants: tuple[str, ...]  # columns that must be there
    reads: tuple[str, ...]  # further columns that are used
    row: Callable[[int, Record], Row | None]  # None: nobody voted


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


def _one_language(said: object) -> list[str]:
    """The category of a list of one language; a conversation in several is in none."""
    said = spelled(said) if isinstance(said, str) else said
    found = [categories.of_language(str(said[0]))] if isinstance(said, list) and len(said) == 1 else []
    return [name for name in found if name]


def _lmsys(line: int, record: Record) -> Row:
    """MT-bench's judgments have the same columns without a time: there `question_id` names a question that many judge."""
    a, b = _pair(record)
    benchmark = not {"tstamp", "anony"} & set(record)
    labels = _language(record) + ["multi_turn"] * ((integer(record, "turn") or 1) > 1)
    judge = record.get("judge")
    judge = " ".join(map(str, judge)) if isinstance(judge, list) else text(record, "judge")
    winner = "tie" if benchmark and record.get("winner") == FLIPPED else _winner(record)
    key = "" if benchmark else text(record, "question_id")
    return Row(
        line, a, b, winner, key or text(record, "id"), judge, at(record, "tstamp") or at(record, "at"), tuple(labels),
        _own_style(record), flag(record, "anony") is not False,
    )  # fmt: skip


def _kaggle(line: int, record: Record) -> Row:
    a, b = _pair(record)
    ends = {"a": "winner_model_a", "b": "winner_model_b", "tie": "winner_tie"}
    said = [choice for choice, column in ends.items() if flag(record, column)]
    if len(said) != 1:
        raise ValueError(f"{len(said)} of {', '.join(ends.values())} are set where one must be")
    return Row(line, a, b, said[0], text(record, "id"))


def _preference(line: int, record: Record) -> Row | None:
    """Search Arena publishes its conversations without a vote too."""
    if "primary_intent" in record and not text(record, "winner"):
        return None
    a, b = _pair(record)
    facts, language = struct(record, "conv_metadata"), _language(record) or _one_language(record.get("languages"))
    labels = [*language, *_tags(struct(record, "category_tag"), language), *_shape(facts)]
    labels += ["code"] * bool(flag(record, "is_code")) + ["multi_turn"] * ((integer(record, "turn") or 1) > 1)
    judge = text(record, "evaluation_session_id") or text(record, "judge_hash") or text(record, "judge")
    return Row(
        line, a, b, _winner(record), text(record, "id") or text(record, "question_id"), judge,
        at(record, "timestamp") or at(record, "tstamp"), tuple(dict.fromkeys(labels)),
        _style(facts, ARENA_STYLE) or _own_style(record), flag(record, "anony") is not False,
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


def _style(facts: Record, names: Sequence[str]) -> tuple[int, ...] | None:
    """Counts of A and of B by each name; None where none is said. A part of them is an error: zero would be made up."""
    wanted = [name.format(side) for name in names for side in "ab"]
    if all(facts.get(name) in EMPTY for name in wanted):
        return None
    return tuple(count(facts, name) for name in wanted)


def _own_style(record: Record) -> tuple[int, ...] | None:
    """The columns of the plain table, which any table of arena votes may have been given too."""
    return _style(record, STYLE) if set(OWN) <= set(record) else None


def _comparia(line: int, record: Record) -> Row | None:
    """As the publisher's own ranking reads it: the first vote on a conversation counts; neither column: no vote."""
    equal, chosen = flag(record, "both_equal"), text(record, "chosen_model_name")
    if not equal and not chosen:
        return None
    if equal and chosen:
        raise ValueError("both_equal is true and chosen_model_name given: one of the two must be")
    a, b = _pair(record, "model_a_name", "model_b_name")
    if chosen and chosen not in (a, b):
        raise ValueError(f"chosen_model_name {chosen!r} is neither {a!r} nor {b!r}")
    judge, pair = text(record, "visitor_id") or text(record, "session_hash"), text(record, "conversation_pair_id")
    labels = _one_language(record.get("languages")) + ["multi_turn"] * ((integer(record, "conv_turns") or 1) > 1)
    return Row(
        line, a, b, "tie" if equal else "a" if chosen == a else "b", text(record, "id"), judge,
        at(record, "timestamp"), tuple(labels), once=pair,
    )  # fmt: skip


def _comparia_turns(line: int, record: Record) -> Row | None:
    """A row per turn, from 0. Nobody is named: the votes of one conversation are one person's, and that is all that is known."""
    said = text(record, "choice")
    if said in NO_CHOICE:
        return None
    if said not in CHOICES:
        raise ValueError(f"unknown choice {said!r}: expected {', '.join(CHOICES)}, idk or nothing")
    a, b = _pair(record)
    labels = _one_language(struct(record, "metadata").get("languages"))
    labels += ["multi_turn"] * ((integer(record, "turn") or 0) > 0)
    return Row(
        line, a, b, CHOICES[said], text(record, "response_id"), text(record, "comparison_id"), at(record, "timestamp"),
        tuple(labels),
    )  # fmt: skip


def _plain(line: int, record: Record) -> Row:
    a, b = _pair(record)
    labels, named = _language(record), record.get("categories")
    said = (
        text(record, "category") if isinstance(named, list) else text(record, "categories") or text(record, "category")
    )
    for name in [*(named if isinstance(named, list) else []), *said.replace(";", " ").replace(",", " ").split()]:
        if not isinstance(name, str) or categories.known(name) is None:
            raise ValueError(f"unknown category {name!r}: expected topic_..., {', '.join(categories.ALL)}")
        labels.append(name)
    return Row(
        line, a, b, _winner(record), text(record, "id"), text(record, "judge"), at(record, "at"),
        tuple(dict.fromkeys(labels)), _own_style(record),
    )  # fmt: skip


FORMATS = (
    Format(
        "comparia", ("model_a_name", "model_b_name"), ("chosen_model_name", "both_equal"),
        ("model_a_name", "model_b_name", "chosen_model_name", "both_equal"),
        ("id", "conversation_pair_id", "visitor_id", "session_hash", "timestamp", "conv_turns", "languages"), _comparia,
    ),
    Format(
        "comparia", ("choice", "model_a", "model_b"), ("comparison_id", "response_id"), ("choice", "model_a", "model_b"),
        ("response_id", "comparison_id", "turn", "timestamp", "metadata"), _comparia_turns,
    ),
    Format(
        "arena", ("winner_model_a",), ("winner_model_b", "winner_tie"),
        ("model_a", "model_b", "winner_model_a", "winner_model_b", "winner_tie"), ("id",), _kaggle,
    ),
    Format(
        "arena", ("model_a", "winner"),
        ("evaluation_session_id", "evaluation_order", "conv_metadata", "category_tag", "is_code", "primary_intent"),
        ("model_a", "model_b", "winner"),
        ("id", "question_id", "evaluation_session_id", "judge_hash", "judge", "timestamp", "tstamp", "anony", "language",
         "languages", "turn", "is_code", "conv_metadata", "category_tag", *OWN), _preference,
    ),
    Format(
        "lmsys", ("model_a", "winner"), ("tstamp", "conversation_a", "anony", "turn"),
        ("model_a", "model_b", "winner"),
        ("question_id", "id", "judge", "tstamp", "at", "turn", "anony", "language", *OWN), _lmsys,
    ),
    Format(
        "csv", ("winner",), ("model_a", "model_b"), ("model_a", "model_b", "winner"),
        ("id", "judge", "at", "language", "categories", "category", *OWN), _plain,
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
