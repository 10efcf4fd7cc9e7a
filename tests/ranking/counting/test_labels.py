"""Which categories and style a vote has, as a function of what detectors measured."""

import pytest

from ranking import categories
from ranking.counting import labels
from ranking.counting.labels import Bounds, Heard

BOUNDS = Bounds(long=200, short=20)


def said(*prompts: Heard, a: tuple[Heard, ...] = (), b: tuple[Heard, ...] = ()) -> list[Heard]:
    """Prompts stand in both conversations."""
    both = [one._replace(side=side) for one in prompts for side in ("a", "b")]
    return [*both, *(one._replace(side="a") for one in a), *(one._replace(side="b") for one in b)]


def prompt(chars: int = 50, language: str = "und", fences: int = 0) -> Heard:
    return Heard("a", True, language, chars, fences=fences)


def answer(chars: int = 0, headers: int = 0, lists: int = 0, bold: int = 0, fences: int = 0) -> Heard:
    return Heard("a", False, "en", chars, headers, lists, bold, fences)


@pytest.mark.parametrize(
    ("chars", "expected"),
    [([20], ["short_prompt"]), ([21], []), ([199], []), ([200], ["long_prompt"]), ([0], ["short_prompt"])],
)
def test_length_bounds_include_both_ends(chars: list[int], expected: list[str]) -> None:
    assert labels.of_vote(said(*map(prompt, chars)), BOUNDS) == expected


def test_length_is_that_of_all_prompts_together_and_two_of_them_are_several_turns() -> None:
    assert labels.of_vote(said(prompt(100), prompt(100)), BOUNDS) == ["long_prompt", "multi_turn"]


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ([(50, "de")], "german"),
        ([(50, "de"), (51, "en")], "english"),
        ([(50, "und"), (10, "fr")], "french"),
        ([(50, "la")], ""),  # a language without a category of its own
        ([(90, "und")], ""),
    ],
)
def test_the_language_is_that_of_most_characters(prompts: list[tuple[int, str]], expected: str) -> None:
    found = labels.of_vote(said(*(prompt(chars, language) for chars, language in prompts)), BOUNDS)
    assert [name for name in found if name != "multi_turn"] == [expected] * bool(expected)


@pytest.mark.parametrize(
    ("asked", "a", "b", "code"),
    [(1, 0, 0, True), (0, 1, 1, True), (0, 1, 0, False), (0, 0, 2, False), (0, 0, 0, False)],
)
def test_code_is_decided_by_the_prompt_or_by_both_sides(asked: int, a: int, b: int, code: bool) -> None:
    heard = said(prompt(fences=asked), a=(answer(fences=a),), b=(answer(fences=b),))
    assert ("code" in labels.of_vote(heard, BOUNDS)) is code


def test_style_is_summed_over_the_answers_of_each_side() -> None:
    heard = said(prompt(), prompt(), a=(answer(10, 1, 2, 3), answer(5, 1, 0, 0)), b=(answer(7, 0, 1, 0),))
    assert labels.style(heard) == {
        "length_a": 15, "length_b": 7, "headers_a": 2, "headers_b": 0, "lists_a": 2, "lists_b": 1, "bold_a": 3, "bold_b": 0,
    }  # fmt: skip


def test_every_name_that_a_rule_gives_is_in_the_registry_as_a_rule() -> None:
    given = {"long_prompt", "short_prompt", "multi_turn", "code"} | {
        name for name, _title in categories.LANGUAGES.values()
    }
    assert given == {name for name, category in categories.ALL.items() if category.rule}
    assert all(len(name) <= categories.LONGEST and name.isidentifier() for name in categories.ALL)


@pytest.mark.parametrize(
    ("said_", "name"),
    [
        ("English", "english"),
        ("en", "english"),
        ("pt-BR", "portuguese"),
        ("zh_Hans", "chinese"),
        ("und", ""),
        ("", ""),
        ("code", ""),
    ],
)
def test_languages_are_known_by_code_and_by_name(said_: str, name: str) -> None:
    assert categories.of_language(said_) == name


@pytest.mark.parametrize(
    "name",
    ["topic_", "topic_A", "topic__a", "topic_a_", "topic_a b", "topic_" + "a" * 35, "history", "topic_ä", "topic_a\n"],
)
def test_what_is_no_topic_is_unknown(name: str) -> None:
    assert categories.known(name) is None and categories.known("topic_" + "a" * 34) is not None


def test_order_and_titles() -> None:
    assert categories.ordered({"german", "new", "", "code", "english"}) == ["", "code", "english", "german", "new"]
    assert str(categories.title("code")) == "Coding" and str(categories.title("")) == "Overall"
    assert str(categories.title("topic_world_history")) == "Topic: world history"
    with pytest.raises(KeyError):
        categories.title("new")
