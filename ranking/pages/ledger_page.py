"""The sampling ledger as people may see it: the published totals, joined with the names that are public today."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from arena.models import Contestant
from ranking.fits.sampling_ledger import effective
from ranking.pages.downloads import plain
from ranking.pages.published import Board

FAR = 3.0  # standard deviations from which on a difference to the intended share is marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Of one model, or of all models of an organisation (`models` of them).

    `share`: part of all places (a battle has two); `realised` and `intended`: the same since the weights are known, None before;
    `away`: their difference in standard deviations, of single models only.
    """

    name: str
    slug: str = ""
    organisation: str = ""
    hidden: bool = False
    models: int = 1
    battles: int
    share: float
    realised: float | None
    intended: float | None
    away: float | None = None
    effective: float | None = None
    least_p: float | None = None
    most_p: float | None = None

    @property
    def far(self) -> bool:
        return self.away is not None and abs(self.away) >= FAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    name: str
    first: datetime
    last: datetime
    battles: int
    least_p: float
    most_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    until: datetime
    battles: int
    watched: int
    effective: float | None
    least_p: float
    most_p: float
    models: list[Line]
    organisations: list[Line]
    samplers: list[Sampler]


def ledger(board: Board) -> Ledger | None:
    """None where nobody drew anything: imports, and before the first battle."""
    told = board.sampling
    if not told or not told["total"].get("battles"):
        return None
    total = told["total"]
    named = {str(one.pk): one for one in Contestant.objects.filter(pk__in=list(told["models"]))}
    known = {key: row for key, row in told["models"].items() if key in named}
    lines = [_line(named[key], row, total) for key, row in known.items()]
    return Ledger(
        until=datetime.fromisoformat(told["until"]),
        battles=total["battles"],
        watched=total["watched"],
        effective=effective(total),
        least_p=total["least_p"],
        most_p=total["most_p"],
        models=sorted(lines, key=lambda line: (-line.battles, line.name)),
        organisations=_organisations(lines),
        samplers=[
            _sampler(name, row) for name, row in sorted(told["samplers"].items(), key=lambda one: one[1]["first"])
        ],
    )


def _line(contestant: Contestant, row: dict[str, Any], total: dict[str, Any]) -> Line:
    watched, variance = total["watched"], row.get("variance", 0.0)
    return Line(
        name=contestant.display_name,
        slug=contestant.public_slug,
        organisation="" if contestant.anonymous else contestant.organisation,
        hidden=contestant.anonymous,
        battles=row["battles"],
        share=row["battles"] / (2 * total["battles"]),
        realised=row["watched"] / (2 * watched) if watched else None,
        intended=row.get("intended", 0.0) / (2 * watched) if watched else None,
        away=(row["watched"] - row["intended"]) / variance**0.5 if variance else None,
        effective=effective(row),
        least_p=row.get("least_p"),
        most_p=row.get("most_p"),
    )


def _organisations(lines: Iterable[Line]) -> list[Line]:
    """All models under a codename make one line, without a name: nobody may count an organisation's hidden models."""
    grouped: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        grouped[line.organisation].append(line)
    made = [
        Line(
            name=name,
            hidden=not name,
            models=len(mine),
            battles=sum(line.battles for line in mine),
            share=sum(line.share for line in mine),
            realised=_sum(line.realised for line in mine),
            intended=_sum(line.intended for line in mine),
        )
        for name, mine in grouped.items()
    ]
    return sorted(made, key=lambda line: (-line.share, line.name))


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _sampler(name: str, row: dict[str, Any]) -> Sampler:
    times = {end: datetime.fromisoformat(row[end]) for end in ("first", "last")}
    return Sampler(name=name, battles=row["battles"], least_p=row["least_p"], most_p=row["most_p"], **times)


CSV_COLUMNS = (
    *("name", "organisation", "battles", "share", "realised", "intended", "away"),
    *("effective", "least_p", "most_p"),
)


def as_csv(shown: Ledger) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for line in shown.models:
        writer.writerow([plain(getattr(line, column)) for column in CSV_COLUMNS])
    return out.getvalue()
