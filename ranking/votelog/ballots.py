"""The votes that a log tells of, as they stand after its lines so far, and the counts that a board is made from. No Django.

Later lines change earlier votes: `categories` gives a vote its complete new list, `exclude` takes it out of the count, `include`
puts it back. A vote counts while it is ranked and not excluded.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OVERALL = ""

# first (the model that comes first in `order`), second, first was shown as A, outcome
Cell = tuple[str, str, bool, str]


@dataclass(slots=True)
class Ballot:
    a: str
    b: str
    choice: str
    p: float
    categories: tuple[str, ...]
    ranked: bool
    excluded: bool = False

    @property
    def counts(self) -> bool:
        return self.ranked and not self.excluded


@dataclass(slots=True)
class Sums:
    """Of a cell: battles, sum of 1/p, sum of 1/p^2."""

    count: int = 0
    inverse_p: float = 0.0
    inverse_p2: float = 0.0


@dataclass
class Ballots:
    """`faults`: lines that make no sense after the ones before them. `committed`: `withheld` of each publication.

    `receipts`: of each vote its receipt's hash; kept only where it is a dict.
    """

    votes: dict[int, Ballot] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    committed: dict[int, str] = field(default_factory=dict)
    receipts: dict[int, str] | None = None

    def take(self, number: int, entry: Mapping[str, Any]) -> None:
        try:
            self._take(number, entry)
        except (KeyError, TypeError, ValueError):
            self.faults.append(f"line {number}: no {entry.get('kind')} line has these fields, or its vote is not there")

    def _take(self, number: int, entry: Mapping[str, Any]) -> None:
        kind = entry["kind"]
        if kind == "vote":
            self.votes[number] = _ballot(entry)
            if self.receipts is not None:
                self.receipts[number] = entry["receipt"]
        elif kind == "categories":
            self.votes[entry["vote"]].categories = tuple(entry["categories"])
        elif kind in ("exclude", "include"):
            self.votes[entry["vote"]].excluded = kind == "exclude"
        elif kind == "publication":
            self.committed[number] = entry["withheld"]
        else:
            raise ValueError("unknown kind")

    def cells(self, category: str, order: Mapping[str, int]) -> dict[Cell, Sums]:
        """The counted votes of a category ("" = all) by cell. KeyError for a model that `order` lacks."""
        found: dict[Cell, Sums] = {}
        for vote in self.votes.values():
            if vote.counts and (category == OVERALL or category in vote.categories):
                cell = found.setdefault(_cell(vote, order), Sums())
                cell.count += 1
                cell.inverse_p += 1 / vote.p
                cell.inverse_p2 += 1 / vote.p**2
        return found

    def excluded(self) -> set[str]:
        """Hashes of the receipts of votes that are excluded; needs `receipts`."""
        return {(self.receipts or {})[number] for number, vote in self.votes.items() if vote.excluded}

    def categories(self) -> Counter[str]:
        """Counted votes by category."""
        counted = [vote for vote in self.votes.values() if vote.counts]
        return Counter(name for vote in counted for name in (OVERALL, *vote.categories))


def _ballot(entry: Mapping[str, Any]) -> Ballot:
    if entry["choice"] not in ("a", "b", "tie", "both_bad") or not 0 < entry["p"] <= 1 or entry["a"] == entry["b"]:
        raise ValueError("no such vote")
    names = ("a", "b", "choice", "p", "ranked")
    return Ballot(**{name: entry[name] for name in names}, categories=tuple(entry["categories"]))


def _cell(vote: Ballot, order: Mapping[str, int]) -> Cell:
    first_was_a = order[vote.a] < order[vote.b]
    first, second = (vote.a, vote.b) if first_was_a else (vote.b, vote.a)
    outcome = vote.choice
    if outcome in ("a", "b"):
        outcome = "first" if (outcome == "a") == first_was_a else "second"
    return first, second, first_was_a, outcome
