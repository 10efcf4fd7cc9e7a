"""Fingerprints: equal for equal words, near for near texts, far for others, and the same in every process."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.moderation.detectors.fingerprints import BITS, fingerprints, simhash
from tests.arena.moderation import public_data

TEXT = (
    "The quick brown fox jumps over the lazy dog while the sun sets behind the hills, and nobody in the village remembers "
    "when such a calm and golden evening was last seen by the people who have lived here for a very long time."
)


def distance(a: int, b: int) -> int:
    """Bits in which two simhashes differ."""
    return ((a ^ b) & (1 << BITS) - 1).bit_count()


def test_spelling_and_layout_do_not_count() -> None:
    other = "  THE quick-brown fox\njumps over the la\u200bzy dog while the sun séts behind the hills; and nobody "
    assert fingerprints(other + TEXT.partition("nobody ")[2]) == fingerprints(TEXT)


def test_one_other_word_is_another_text_but_near() -> None:
    changed = fingerprints(TEXT.replace("golden", "silver"))
    assert changed.exact != fingerprints(TEXT).exact
    assert distance(changed.simhash, fingerprints(TEXT).simhash) <= 12


def test_other_texts_are_far() -> None:
    chance = random.Random(3)
    texts = [" ".join(f"w{chance.randrange(5000)}" for _ in range(80)) for _ in range(60)]
    hashes = [fingerprints(text).simhash for text in texts]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) >= 10
    assert 30 <= sum(apart) / len(apart) <= 34


@given(st.text(max_size=200))
def test_they_fit_their_columns(text: str) -> None:
    found = fingerprints(text)
    assert len(found.exact) == 64
    assert -(2**63) <= found.simhash < 2**63


def test_texts_without_words_are_told_apart() -> None:
    exact = {fingerprints(text).exact for text in ("😀", "😀😀", "!?", "→", "")}
    assert len(exact) == 5
    assert fingerprints("😀").simhash == simhash([]) == 0


def test_every_process_finds_the_same() -> None:
    code = f"from arena.moderation.detectors.fingerprints import fingerprints as f; print(*f({TEXT!r}))"
    root = Path(__file__).parents[4]
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    found = fingerprints(TEXT)
    assert seen == {f"{found.exact} {found.simhash}\n".encode()}
    assert found == ("d73d39dac70ebcd00a4657857bfe4739258a27d4f25705f5d72f9ee40a4b630e", -4030594228693065870), (
        "stored fingerprints no longer compare: raise enrichment.VERSION"
    )


def test_different_answers_to_one_question_are_not_near() -> None:
    answers = [fingerprints(text) for text in list(public_data.answers())[:200]]
    assert len({found.exact for found in answers}) == len(answers)


@pytest.mark.parametrize("unit", ["a ", "a", "\u0301", "\ufdfa", "1 a ", ". "])
def test_hostile_text_takes_bounded_time(unit: str) -> None:
    start = time.process_time()
    fingerprints((unit * 200_000)[:200_000])
    assert time.process_time() - start < 3.0
