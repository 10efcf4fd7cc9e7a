"""The event stream parser: any chunking, both line ends, bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.sse import COMMENT, SseBroken, SseItem, SseParser

STREAM = (
    "\ufeff: queued position=3 eta_s=1.5\n\n"
    'data: {"a": "Grüße 🙂"}\n\n'
    "event: error\ndata: one\ndata:  two\nid: 7\nretry: 5\n\n"
    "data\n\n"
    "event: empty\n\n"
    "data: [DONE]\n\n"
    "data: never ended"
)
ITEMS = [
    SseItem(COMMENT, "queued position=3 eta_s=1.5"),
    SseItem("", '{"a": "Grüße 🙂"}'),
    SseItem("error", "one\n two"),
    SseItem("", ""),
    SseItem("", "[DONE]"),
]


def parsed(chunks: list[bytes]) -> list[SseItem]:
    parser = SseParser()
    return [item for chunk in chunks for item in parser.feed(chunk)]


@given(end=st.sampled_from(["\n", "\r\n", "\r"]), cuts=st.lists(st.integers(0, 220), max_size=40))
def test_any_chunking_gives_the_same_events(end: str, cuts: list[int]) -> None:
    data = STREAM.replace("\n", end).encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert parsed([data[a:b] for a, b in zip(edges, edges[1:], strict=False)]) == ITEMS


def test_byte_by_byte() -> None:
    data = STREAM.replace("\n", "\r\n").encode()
    assert parsed([data[i : i + 1] for i in range(len(data))]) == ITEMS


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_garbage_is_parsed_or_refused_but_never_crashes(chunks: list[bytes]) -> None:
    parser = SseParser(max_line=100)
    for chunk in chunks:
        try:
            items = parser.feed(chunk)
        except SseBroken:
            return
        assert all(isinstance(item, SseItem) for item in items)


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_line_without_end_is_refused_at_the_bound(cut: int) -> None:
    parser = SseParser(max_line=1000)
    fed = 0
    with pytest.raises(SseBroken, match="line is longer than 1000"):
        while fed <= 3000:
            parser.feed(b"x" * cut)
            fed += cut
    assert fed <= 1000


def test_a_long_line_in_one_chunk_is_refused_too() -> None:
    with pytest.raises(SseBroken, match="line is longer"):
        SseParser(max_line=1000).feed(b"data: " + b"x" * 1000 + b"\n\n")


def test_an_event_without_end_is_refused_at_the_bound() -> None:
    parser = SseParser(max_event=1000)
    with pytest.raises(SseBroken, match="event is longer than 1000"):
        for _ in range(1000):
            parser.feed(b"data: x\n")


def test_broken_utf8_is_refused_without_showing_it() -> None:
    with pytest.raises(SseBroken) as refused:
        SseParser().feed(b"data: secret \xff\n")
    assert "secret" not in str(refused.value)
