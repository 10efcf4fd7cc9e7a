"""Ranges and conditions, without a server."""

from datetime import UTC, datetime

import pytest

from datasets.ranges import Part, Unsatisfiable, unchanged, wanted

WHEN = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
TAG = '"abc"'


def ask(size: int = 100, **headers: str) -> Part | None:
    return wanted({name.replace("_", "-"): value for name, value in headers.items()}, size, TAG, WHEN)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-9", Part(0, 10)),
        ("bytes=90-", Part(90, 100)),
        ("bytes=-7", Part(93, 100)),
        ("bytes=-700", Part(0, 100)),
        ("bytes=95-300", Part(95, 100)),
        ("bytes=99-99", Part(99, 100)),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("lines=0-1", None),
        ("bytes=" + "9" * 30 + "-", None),
        ("", None),
    ],
)
def test_which_part(text: str, part: Part | None) -> None:
    assert ask(range=text) == part


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_behind_the_end(text: str) -> None:
    with pytest.raises(Unsatisfiable):
        ask(range=text)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [(TAG, True), ('"old"', False), (f"W/{TAG}", False), (DATE, True), ("Sun, 01 Mar 2026 11:59:59 GMT", False), ("x", False)],
)  # fmt: skip
def test_a_part_of_another_version_is_not_sent(condition: str, holds: bool) -> None:
    assert (ask(range="bytes=0-9", if_range=condition) is not None) == holds


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"if-none-match": TAG}, True),
        ({"if-none-match": f'"x", W/{TAG}'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": '"x"', "if-modified-since": DATE}, False),
        ({"if-modified-since": DATE}, True),
        ({"if-modified-since": "Sun, 01 Mar 2026 11:00:00 GMT"}, False),
        ({"if-modified-since": "nonsense"}, False),
        ({}, False),
    ],
)
def test_what_the_reader_has_already(headers: dict[str, str], same: bool) -> None:
    assert unchanged(headers, TAG, WHEN) == same
