"""Streaming text equals the text decoded at once, whatever the pieces; stop strings cut at the same place always."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.detokenize import MAX_HELD, Detokenizer, StopStrings
from inference.engine.text import ChatText
from tests.inference.engine.tiny_text import make_text


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> ChatText:
    return ChatText(make_text(tmp_path_factory.mktemp("text")))


@pytest.fixture(scope="module")
def demo_text(demo_model: Path) -> ChatText:
    return ChatText(demo_model)


def cut(items: list[int], sizes: list[int]) -> list[list[int]]:
    """`items` in pieces of the given sizes, over and over."""
    pieces, at = [], 0
    for size in sizes * len(items):
        pieces.append(items[at : at + size])
        at += size
    return [piece for piece in pieces if piece]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.lists(st.integers(1, 6), min_size=1, max_size=8)
)
@settings(max_examples=300, deadline=None)
def test_pieces_make_the_whole(text: ChatText, said: str, sizes: list[int]) -> None:
    ids = text.tokenizer.encode(said, add_special_tokens=False).ids
    stream = Detokenizer(text.decode)
    pieces = [stream.push(piece) for piece in cut(ids, sizes)]
    if "\ufffd" not in said:
        assert not any("\ufffd" in piece for piece in pieces), "never half a character"
    assert "".join(pieces) + stream.flush() == text.decode(ids)


@given(st.lists(st.integers(3, 258), max_size=80), st.lists(st.integers(1, 4), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_bytes_that_are_no_text_neither_crash_nor_stall(text: ChatText, ids: list[int], sizes: list[int]) -> None:
    stream = Detokenizer(text.decode)
    shown = "".join(stream.push(piece) for piece in cut(ids, sizes)) + stream.flush()
    kept = [c for c in shown if c != "\ufffd"]
    assert kept == [c for c in text.decode(ids) if c != "\ufffd"]


def test_broken_bytes_are_held_for_a_bounded_time(text: ChatText) -> None:
    continuation = text.tokenizer.encode("é").ids[1]
    stream = Detokenizer(text.decode)
    shown = [stream.push([continuation]) for _ in range(MAX_HELD + 1)]
    assert shown[:-1] == [""] * MAX_HELD
    assert set(shown[-1]) == {"\ufffd"}


@pytest.mark.demo_model
@given(st.text(max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_demo_models_tokenizer(demo_text: ChatText, said: str) -> None:
    text = demo_text
    ids = text.tokenizer.encode(said.encode(errors="replace").decode(), add_special_tokens=False).ids
    stream = Detokenizer(text.decode)
    assert "".join(stream.push([i]) for i in ids) + stream.flush() == text.decode(ids)


def stopped(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    cutter, shown = StopStrings(stops), ""
    for piece in pieces:
        out, end = cutter.push(piece)
        shown += out
        if end:
            return shown, True
    return shown + cutter.flush(), False


@given(
    st.text("abc", max_size=30),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
)
@settings(max_examples=500, deadline=None)
def test_stops_do_not_depend_on_the_pieces(said: str, stops: list[str], sizes: list[int]) -> None:
    pieces = ["".join(piece) for piece in cut(list(said), sizes)]  # type: ignore[arg-type]
    shown, end = stopped(stops, pieces)
    assert (shown, end) == stopped(stops, list(said))
    assert end == any(stop in said for stop in stops)
    assert not any(stop in shown for stop in stops)
    assert said.startswith(shown)
    if not end:
        assert shown == said


def test_text_is_held_only_while_it_may_become_a_stop_string() -> None:
    cutter = StopStrings(["\nUser:"])
    assert [cutter.push(piece)[0] for piece in ("Hi\n", "Us", "ed", "\nUser", ":x")] == ["Hi", "", "\nUsed", "", ""]
