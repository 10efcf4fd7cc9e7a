"""The chain: any change of any byte, any line taken out, put in or moved is found, and the line is named."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.votelog import chain

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(["kind", "a", "b", "p", "ä"]), SCALARS | st.lists(st.text(max_size=4), max_size=3)),
    min_size=1,
    max_size=6,
)


def made(entries: list[dict[str, Any]]) -> list[chain.Line]:
    return list(chain.link(chain.Head(), entries))


def faults(bodies: list[str], head: chain.Head | None = None) -> list[str]:
    walk = chain.Walk()
    for body in bodies:
        walk.take(body)
    if head:
        walk.ends(head)
    return walk.faults


def test_a_line_is_what_sha256sum_sees() -> None:
    first, second = made([{"kind": "vote", "p": 0.5}, {"kind": "vote", "p": 1.0}])
    assert first.body == '{"kind":"vote","number":1,"p":0.5,"previous":"' + "0" * 64 + '"}'
    assert json.loads(second.body)["previous"] == hashlib.sha256(first.body.encode()).hexdigest() == first.hash


@given(ENTRIES, ENTRIES)
def test_lines_in_pieces_are_the_lines_at_once(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> None:
    first = made(one)
    rest = list(chain.link(chain.Head(first[-1].number, first[-1].hash), two))
    assert [*first, *rest] == made([*one, *two])
    assert faults([line.body for line in [*first, *rest]], chain.Head(rest[-1].number, rest[-1].hash)) == []


@given(ENTRIES, st.data())
def test_any_changed_byte_is_found(entries: list[dict[str, Any]], data: st.DataObject) -> None:
    lines = made(entries)
    head = chain.Head(lines[-1].number, lines[-1].hash)
    place = data.draw(st.integers(0, len(lines) - 1))
    bodies = [line.body for line in lines]
    at = data.draw(st.integers(0, len(bodies[place]) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda one: one != bodies[place][at]))
    bodies[place] = bodies[place][:at] + other + bodies[place][at + 1 :]
    found = faults(bodies, head)
    assert any(f"line {place + 1}" in fault or f"line {place + 2}" in fault for fault in found), found


@given(st.lists(st.integers(), min_size=2, max_size=6, unique=True), st.data())
def test_a_line_that_was_taken_out_moved_or_repeated_is_found(kinds: list[int], data: st.DataObject) -> None:
    lines = made([{"kind": kind} for kind in kinds])
    head = chain.Head(lines[-1].number, lines[-1].hash)
    bodies = [line.body for line in lines]
    one = data.draw(st.integers(0, len(bodies) - 1))
    other = data.draw(st.integers(0, len(bodies) - 1).filter(lambda place: place != one))
    assert faults([*bodies[:one], *bodies[one + 1 :]], head)
    swapped = list(bodies)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    assert faults(swapped, head)
    assert faults([*bodies[: one + 1], bodies[one], *bodies[one + 1 :]], head)


@pytest.mark.parametrize(
    "body",
    [
        '{"number":1,"previous":"' + "0" * 64 + '","number":1}',
        '{"previous":"' + "0" * 64 + '","number":1}',
        '{"number": 1,"previous":"' + "0" * 64 + '"}',
        "[1]",
        "7",
        "",
        '{"number":1',
    ],
)
def test_what_is_not_canonical_is_no_line(body: str) -> None:
    assert faults([body]) == ["line 1: not an entry in canonical form"]


def test_a_line_that_tells_another_number_is_found() -> None:
    assert faults([chain.encode({"kind": "a", "number": 5, "previous": chain.GENESIS})]) == [
        "line 1: says that it is number 5"
    ]


def test_a_forged_suffix_is_found_by_the_head() -> None:
    lines = made([{"kind": "a"}, {"kind": "b"}])
    forged = made([{"kind": "a"}, {"kind": "x"}])
    assert faults([line.body for line in forged]) == []
    head = chain.Head(2, lines[-1].hash)
    assert faults([line.body for line in forged], head) == ["line 2: was changed, its hash is not that of the head"]
    assert faults([lines[0].body], head) == ["the log has 1 lines, and should have 2"]


def test_an_entry_cannot_name_its_own_place() -> None:
    with pytest.raises(ValueError, match="chain's own"):
        made([{"kind": "a", "previous": "x"}])


def test_the_example_in_the_docs_can_be_checked_by_hand() -> None:
    page = (Path(__file__).parents[3] / "docs" / "vote-log.md").read_text()
    example = [line.strip() for line in page.splitlines() if line.startswith("    {")]
    assert len(example) == 2 and faults(example) == []
    assert f"{chain.digest(example[0])}  -" in page
