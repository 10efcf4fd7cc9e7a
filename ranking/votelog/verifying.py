"""Rebuilding the published boards where the database is: what the log gives, and beside it what only the database can give.

Intervals by judge, style control and drift are fitted again from the rows, marked "from the database". That takes the votes as
they were at the publication: where votes have come since, it is said and left out.
"""

from typing import Any

from django.db import transaction

from arena.models.battles import Origin
from ranking import counts
from ranking.fits import fitting, reading
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot
from ranking.votelog import checking, comparing, documents, rebuild
from ranking.votelog import reading as log
from ranking.votelog.rebuild import Report

FIGURES = documents.FIGURES - {"sure", "why"}  # who leads since when is a running record, not a function of the votes


@transaction.atomic
def verify() -> Report:
    """Of each published live board the newest, under the counts' lock: everything is of one moment."""
    counts.take_lock()
    shown = _shown()
    entries = sorted({snapshot.log_entry for snapshot in shown if snapshot.log_entry})
    published = [found for entry in entries if (found := log.boards(entry))]
    report = rebuild.check((body for _number, body in checking.lines(entries[-1] if entries else 0)), published)
    for snapshot in shown:
        if snapshot.log_entry is None:
            report.said.append(f"{_name(snapshot)}: published before there was a log")
        _from_rows(report, snapshot)
    return report


def _shown() -> list[BoardSnapshot]:
    names = ("origin", "category", "controlled")
    public = BoardSnapshot.objects.published().filter(origin=Origin.LIVE)
    return list(public.order_by(*names, "-published_at", "-id").distinct(*names))


def _from_rows(report: Report, snapshot: BoardSnapshot) -> None:
    key, name = Key.of(snapshot), _name(snapshot)
    read = reading.read(key, public=True)
    if read.fingerprint != snapshot.board["fingerprint"]:
        report.said.append(
            f"{name}: from the database: votes have come since, it can be compared after the next publication"
        )
        return
    stored: dict[str, Any] = {one: value for one, value in snapshot.board.items() if one in FIGURES}
    made = {one: value for one, value in comparing.plain(fitting.build(read)).items() if one in FIGURES}
    found = comparing.differ("board", stored, made)
    report.wrong(*(f"{name}: from the database: {one}" for one in found))
    if not found:
        report.said.append(f"{name}: from the database: identical, by judge and with style")


def _name(snapshot: BoardSnapshot) -> str:
    return comparing.name_of(
        {"origin": snapshot.origin, "category": snapshot.category, "controlled": snapshot.controlled}
    )
