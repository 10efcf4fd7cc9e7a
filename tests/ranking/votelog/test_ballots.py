"""Votes as a log tells of them, by hand: what counts, what it weighs, and lines that make no sense."""

from typing import Any

import pytest

from ranking.votelog import chain, rebuild
from ranking.votelog.ballots import Ballots, Sums

ORDER = {"x": 0, "y": 1}


def vote(**more: Any) -> dict[str, Any]:
    plain = {"kind": "vote", "a": "y", "b": "x", "choice": "a", "p": 0.5, "categories": [], "ranked": True}
    return plain | {"receipt": "r", "day": "2026-11-26", "reason": ""} | more


def told(*entries: dict[str, Any]) -> Ballots:
    ballots = Ballots()
    for number, entry in enumerate(entries, 1):
        ballots.take(number, entry)
    return ballots


def test_a_cell_has_its_battles_and_the_sums_of_their_inverse_probabilities() -> None:
    found = told(vote(), vote(p=0.25, categories=["code"]), vote(a="x", b="y"), vote(ranked=False))
    assert found.faults == []
    assert found.cells("", ORDER) == {
        ("x", "y", False, "second"): Sums(2, 2.0 + 4.0, 4.0 + 16.0),
        ("x", "y", True, "first"): Sums(1, 2.0, 4.0),
    }
    assert found.cells("code", ORDER) == {("x", "y", False, "second"): Sums(1, 4.0, 16.0)}


def test_later_lines_take_votes_out_put_them_back_and_sort_them_anew() -> None:
    out, back = {"kind": "exclude", "vote": 1}, {"kind": "include", "vote": 1}
    assert told(vote(), out).cells("", ORDER) == {}
    again = told(vote(), out, back, {"kind": "categories", "vote": 1, "categories": ["math"]})
    assert again.categories() == {"": 1, "math": 1} and again.faults == []
    assert sum(cell.count for cell in again.cells("math", ORDER).values()) == 1


@pytest.mark.parametrize(
    "entry",
    [
        vote(p=0), vote(p=1.5), vote(p=-0.5), vote(choice="c"), vote(a="x"), {"kind": "exclude", "vote": 7},
        {"kind": "gift"}, {"kind": "publication"}, {"kind": "vote"},
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_a_fault_and_counts_for_nothing(entry: dict[str, Any]) -> None:
    found = told(entry)
    assert len(found.faults) == 1 and found.faults[0].startswith("line 1:") and found.votes == {}


def test_another_head_or_another_document_than_the_published_one_is_told() -> None:
    board = {"origin": "live", "category": "", "controlled": True}
    said = {"category": "", "controlled": True, "sha256": chain.digest(chain.encode(board))}
    lines = list(chain.link(chain.Head(), [{"kind": "publication", "boards": [said], "models": [], "withheld": "w"}]))
    document = {"entry": 1, "hash": lines[0].hash, "boards": [board]}
    bodies = [line.body for line in lines]
    assert rebuild.check(bodies, [document]).faults == 0
    assert "and not the published" in "".join(rebuild.check(bodies, [document | {"hash": "0" * 64}]).said)
    changed = document | {"boards": [board | {"votes": 1}]}
    assert "is not the one whose SHA-256" in "".join(rebuild.check(bodies, [changed]).said)
