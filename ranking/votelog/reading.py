"""Reading the public log: pages of lines that never change once they are full, its head, and names for its models.

The public log ends with the last publication. Lines that were sealed since are not told, or the board could be computed
from them before it is published.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from arena.models import Contestant
from arena.models.battles import Origin
from ranking.models import BoardSnapshot
from ranking.votelog import chain, documents, names
from ranking.votelog.models import PUBLICATION, LogEntry, WithheldEntry

PAGE = 5000  # lines; fixed, so that page 7 is for ever the same lines


@dataclass(frozen=True, slots=True)
class End:
    """Where the public log ends: its last line, which is a publication."""

    entries: int
    head: str

    @property
    def pages(self) -> int:
        return -(-self.entries // PAGE)


def end() -> End:
    last = LogEntry.objects.filter(kind=PUBLICATION).order_by("-number").values_list("number", "hash").first()
    return End(*last) if last else End(0, chain.GENESIS)


def page(number: int) -> str | None:
    """The lines of page `number` (from 1), each with its newline; None beyond the end."""
    return _page(LogEntry, number, end().entries)


def exclusions(number: int) -> str | None:
    """The same of the withheld chain, as far as its exclusions are public."""
    return _page(WithheldEntry, number, _opened())


def openings(most: int) -> list[dict[str, Any]]:
    """Salts of the newest publications that knew of no exclusion but public ones, newest first."""
    known = LogEntry.objects.filter(kind=PUBLICATION, about__lte=_opened()).order_by("-number")[:most]
    return [
        {"publication": n, "exclusions": about, "salt": names.salt(n)}
        for n, about in known.values_list("number", "about")
    ]


def _opened() -> int:
    """How many lines of the withheld chain are public: all before the first that is not released."""
    first = WithheldEntry.objects.filter(released_at=None).order_by("number").values_list("number", flat=True).first()
    return first - 1 if first else WithheldEntry.objects.count()


def _page(model: type[LogEntry] | type[WithheldEntry], number: int, end: int) -> str | None:
    first, last = (number - 1) * PAGE + 1, min(number * PAGE, end)
    if number < 1 or first > last:
        return None
    lines = model._default_manager.filter(number__range=(first, last)).order_by("number")
    return "".join(f"{body}\n" for body in lines.values_list("body", flat=True))


@dataclass(frozen=True, slots=True)
class Publication:
    """One line that made boards public: its number, when, and which boards (category, style control, votes)."""

    entry: int
    at: datetime
    boards: list[dict[str, Any]]


def publications(most: int) -> list[Publication]:
    """The newest, newest first."""
    lines = LogEntry.objects.filter(kind=PUBLICATION).order_by("-number")[:most]
    said = [(line.number, chain.decode(line.body)) for line in lines]
    return [Publication(number, datetime.fromisoformat(one["at"]), one["boards"]) for number, one in said]


def boards(entry: int) -> dict[str, Any] | None:
    """The boards that were published with line `entry`, as documents; None for another line or when they are gone."""
    line = LogEntry.objects.filter(number=entry, kind=PUBLICATION).first()
    kept = BoardSnapshot.objects.published().filter(log_entry=entry).order_by("category", "controlled")
    if line is None:
        return None
    found = [documents.document(snapshot) for snapshot in kept]
    return {"entry": entry, "hash": line.hash, "boards": found}


def newest_board() -> int | None:
    """The line that the shown overall board was published with."""
    newest = BoardSnapshot.objects.published().filter(origin=Origin.LIVE, category="", controlled=False)
    return newest.order_by("-published_at", "-id").values_list("log_entry", flat=True).first()


def models() -> list[dict[str, Any]]:
    """Id, name and page of every model of the published live board, by their names of today."""
    newest = BoardSnapshot.objects.published().filter(origin=Origin.LIVE, category="", controlled=False)
    board = newest.order_by("-published_at", "-id").values_list("board", flat=True).first()
    keys = [UUID(model["model"]) for model in board["models"]] if board else []
    found = [
        {"id": names.contestant(one.pk), "name": one.display_name, "slug": one.public_slug}
        for one in Contestant.objects.filter(pk__in=keys)
    ]
    return sorted(found, key=lambda one: one["id"])
