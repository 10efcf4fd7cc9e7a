"""Rebuild published boards from the downloaded vote log: python -m ranking.votelog.rebuild LOG.jsonl BOARD.json [BOARD.json ...]

No database and no Django. LOG is all pages of /api/v1/log one after the other (also as .gz), BOARD what /api/v1/log/boards/N
answers. Every line is checked against the next, the last one that is needed against the hash in BOARD, each board's digest
against the line of its publication; then the votes are counted as they stood at that line, the board is fitted again with its
stored seed, and every figure that votes alone decide is compared. Exit code 0: identical. 1: something differs, and is listed.

With --exclusions and --openings it also checks that what is excluded was sealed when the publications say (see opening.py).
Style control and intervals by judge need what the log does not hold (answers, voters): `manage.py verify_board` has them.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranking.votelog import chain, comparing, opening
from ranking.votelog.ballots import Ballots

MOST = 20  # differences that are listed of each board


@dataclass
class Report:
    """What was found, in words; `faults` counts what is wrong."""

    said: list[str] = field(default_factory=list)
    faults: int = 0

    def wrong(self, *found: str) -> None:
        self.faults += len(found)
        self.said += [*found[:MOST], *([f"... and {len(found) - MOST} more"] if len(found) > MOST else [])]


def check(
    lines: Iterable[str],
    published: Sequence[Mapping[str, Any]],
    opened: tuple[Iterable[str], Sequence[Any]] | None = None,
) -> Report:
    """`published`: what /api/v1/log/boards/N answers, each for its own N. `opened`: public exclusions' lines, and openings."""
    report, walk, ballots = Report(), chain.Walk(), Ballots(receipts={} if opened else None)
    wanted = {int(one["entry"]): one for one in published}
    for line in lines:
        entry = walk.take(line)
        if entry is not None:
            ballots.take(walk.head.number, entry)
        if (one := wanted.pop(walk.head.number, None)) is not None:
            _publication(report, walk, ballots, entry or {}, one)
    report.wrong(*walk.faults, *ballots.faults)
    if opened is not None:
        found = opening.faults(*opened, ballots.committed, ballots.excluded())
        report.wrong(*found)
        report.said += [] if found else [f"exclusions: as {len(opened[1])} publications had committed to"]
    report.wrong(*(f"the log ends at line {walk.head.number}, before line {number}" for number in sorted(wanted)))
    sound = "every line follows the one before it" if not walk.faults else "broken"
    report.said.insert(0, f"log: {walk.head.number} lines, head {walk.head.hash}: {sound}")
    return report


def _publication(
    report: Report, walk: chain.Walk, ballots: Ballots, entry: Mapping[str, Any], published: Mapping[str, Any]
) -> None:
    number = walk.head.number
    if walk.head.hash != published["hash"]:
        report.wrong(f"line {number}: its hash is {walk.head.hash}, and not the published {published['hash']}")
    digests = {(one["category"], one["controlled"]): one["sha256"] for one in entry.get("boards", [])}
    if not published["boards"]:
        report.said.append(f"line {number}: no board was published with it")
    for board in published["boards"]:
        name = comparing.name_of(board)
        if chain.digest(chain.encode(board)) != digests.get((board["category"], board["controlled"])):
            report.wrong(f"{name}: the document is not the one whose SHA-256 line {number} holds")
        if board["controlled"]:
            report.said.append(f"{name}: from the database only (manage.py verify_board)")
            continue
        found = comparing.differences(board, ballots, entry.get("models", []))
        report.wrong(*(f"{name}: {one}" for one in found))
        if not found:
            report.said.append(f"{name}: identical ({comparing.told(board)})")


def _lines(path: Path) -> Iterator[str]:
    """Raises UnicodeDecodeError for what is not ASCII: no line of the log is."""
    kind: Any = gzip.open if path.suffix == ".gz" else open
    with kind(path, "rt", encoding="ascii", newline="\n") as file:
        for line in file:
            yield line.removesuffix("\n")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m ranking.votelog.rebuild", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("log", type=Path)
    parser.add_argument("board", type=Path, nargs="+")
    parser.add_argument("--exclusions", type=Path, help="all pages of /api/v1/log/exclusions; with --openings")
    parser.add_argument("--openings", type=Path, help="what /api/v1/log/openings answers")
    given = parser.parse_args(arguments)
    try:
        told = (
            (_lines(given.exclusions), json.loads(given.openings.read_text())["openings"]) if given.openings else None
        )
        report = check(_lines(given.log), [json.loads(path.read_text()) for path in given.board], told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"cannot be read: {type(error).__name__}: {error}")
        return 1
    for line in report.said:
        print(line)
    print("identical" if not report.faults else f"{report.faults} differences")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
