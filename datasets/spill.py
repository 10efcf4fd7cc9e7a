"""Admitted rows on disk, in whatever order they come, and back in the order of their public ids.

The gate reads battles in the order of their keys; a release is in the order of public ids, which says nothing about time and does
not put the two sides of a battle beside each other. Rows go to one of 256 files by the first two digits; each file is then
read by an index of its ids. Memory: the index of one file, about a 256th of all ids.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

PREFIX = 2  # hex digits that name a file


@dataclass(frozen=True, slots=True)
class Spilled:
    """One row: its ids, whose word let each of its messages pass, and its line of JSON."""

    public_id: str
    conversation_id: UUID
    passed_by: list[str]
    line: bytes


class Spill:
    """Rows below `folder`, which must exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, rows: Iterable[Spilled]) -> None:
        """Append rows; OSError when the disk has no room."""
        parts: dict[str, list[bytes]] = {}
        for one in rows:
            head = f"{one.public_id}\t{one.conversation_id.hex}\t{json.dumps(one.passed_by)}\t"
            parts.setdefault(one.public_id[:PREFIX], []).append(head.encode() + one.line + b"\n")
        for name, lines in parts.items():
            with (self.folder / name).open("ab") as out:
                out.writelines(lines)

    def read(self, without: Collection[str] = ()) -> Iterator[Spilled]:
        """All rows but those `without` names, by ascending public id."""
        for path in sorted(self.folder.iterdir()):
            with path.open("rb") as source:
                for _id, offset in _index(source, without):
                    source.seek(offset)
                    yield _parse(source.readline())


def _index(source: Iterable[bytes], without: Collection[str]) -> list[tuple[str, int]]:
    found, offset = [], 0
    for raw in source:
        name = raw.partition(b"\t")[0].decode()
        if name not in without:
            found.append((name, offset))
        offset += len(raw)
    return sorted(found)


def _parse(raw: bytes) -> Spilled:
    name, conversation, passed_by, line = raw.rstrip(b"\n").split(b"\t", 3)
    return Spilled(name.decode(), UUID(conversation.decode()), json.loads(passed_by), line)
