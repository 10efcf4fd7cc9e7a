"""Language of short chat texts, offline, the same in every process."""

import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.moderation.detectors.language import UNKNOWN, language
from tests.arena.moderation import public_data

LINES = Path(__file__).with_name("languages.txt").read_text("utf-8").split("\n")
TEXTS = [tuple(line.split("|", 1)) for line in LINES if "|" in line]


@pytest.mark.parametrize(("code", "text"), TEXTS)
def test_short_texts_and_code(code: str, text: str) -> None:
    found = language(text.replace("\\n", "\n").replace("\\r", "\r"))
    assert found.code == code
    assert (found == UNKNOWN) == (code == "und")
    assert 0.0 <= found.confidence <= 1.0


def test_there_are_many_languages() -> None:
    assert len({code for code, _text in TEXTS}) >= 45


def test_names_are_the_english_ones_of_public_data_sets() -> None:
    assert language("Wie backe ich einen einfachen Kuchen?").name == "German"
    assert language("請問要怎麼做一個簡單的蛋糕？").name == "Chinese"
    assert language("איך אופים עוגה פשוטה?").name == "Hebrew"
    assert UNKNOWN == ("und", "unknown", 0.0)


def test_of_two_languages_the_larger_part_counts() -> None:
    text = "Please translate this long and complicated sentence about the weather for me: „Guten Tag“"
    assert language(text).code == "en"


def test_nothing_is_ever_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert language("hola amigo").code == "es"


@given(st.text(max_size=200))
def test_any_text_has_an_answer(text: str) -> None:
    found = language(text)
    assert found.name and found.code


def test_benchmark_texts() -> None:
    prompts = [language(text).code for text in public_data.prompts()]
    assert prompts.count("und") <= 0.015 * len(prompts)
    assert len(set(prompts)) >= 12
    answers = [language(text).code for text in public_data.answers()]
    assert answers.count("en") >= 0.97 * len(answers)


HOSTILE = [
    "a",
    "a ",
    "a.",
    "a/",
    "a@",
    "@",
    "`",
    "<",
    "1",
    "{",
    "\n",
    "```\n",
    "\u4f60",
    "\u202e",
    "import a.",
    "\x7f",
    "\ud800",
    "\ufdfa",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_takes_bounded_time(unit: str) -> None:
    language("warm")
    start = time.process_time()
    language((unit * 200_000)[:200_000])
    assert time.process_time() - start < 1.0
