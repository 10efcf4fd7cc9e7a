"""What a receipt tells: whether its vote is sealed, where, and since when it is public. The same for everybody who has it.

Nothing is told of an exclusion before it is in the public log: a flagged vote looks like any other.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from django.conf import settings

from arena import receipts
from arena.models import VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from ranking.votelog import reading
from ranking.votelog.models import PUBLICATION, LogEntry

EXCLUDE, INCLUDE = "exclude", "include"


class Status(StrEnum):
    WAITING = "waiting"  # the vote is stored, and the next fit seals it
    SEALED = "sealed"  # in the log, which the next publication shows
    PUBLIC = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`entry`: the number of the vote's line; `body` that line, once it is public; `publication`: the line that made it so.

    `excluded`: the line that took it out of the count, if one is public and none has put it back.
    """

    receipt: str
    status: Status
    entry: int | None = None
    sealed_on: date | None = None
    body: str | None = None
    publication: int | None = None
    published_at: datetime | None = None
    ranked: bool | None = None
    reason: str = ""
    excluded: int | None = None

    @property
    def sha256(self) -> str:
        return receipts.commitment(self.receipt)


def find(text: str) -> Standing | None:
    """None for what is no receipt, and for a receipt of no vote that we know."""
    receipt = receipts.typed(text)
    if receipt is None:
        return None
    line = LogEntry.objects.filter(receipt=receipts.commitment(receipt)).first()
    if line is not None:
        return _standing(receipt, line)
    return Standing(receipt=receipt, status=Status.WAITING) if _waits(receipt) else None


def _standing(receipt: str, line: LogEntry) -> Standing:
    said = json.loads(line.body)
    place: dict[str, Any] = {"receipt": receipt, "entry": line.number, "sealed_on": date.fromisoformat(said["day"])}
    publication = LogEntry.objects.filter(kind=PUBLICATION, number__gt=line.number).order_by("number").first()
    if publication is None:
        return Standing(status=Status.SEALED, **place)
    return Standing(
        status=Status.PUBLIC,
        body=line.body,
        publication=publication.number,
        published_at=datetime.fromisoformat(json.loads(publication.body)["at"]),
        ranked=said["ranked"],
        reason=said["reason"],
        excluded=_excluded(line.number),
        **place,
    )


def meant(standing: Standing) -> dict[str, str] | None:
    """What a public line says in words: today's names of models `a` and `b` (the id where there is none), and `choice`."""
    if standing.body is None:
        return None
    said = json.loads(standing.body)
    called = {one["id"]: one["name"] for one in reading.models()}
    return {"a": called.get(said["a"], said["a"]), "b": called.get(said["b"], said["b"]), "choice": said["choice"]}


def _excluded(vote: int) -> int | None:
    end = LogEntry.objects.public_end() or 0
    changes = LogEntry.objects.filter(about=vote, kind__in=[EXCLUDE, INCLUDE], number__lte=end).order_by("-number")
    last = changes.values_list("kind", "number").first()
    return last[1] if last and last[0] == EXCLUDE else None


def _waits(receipt: str) -> bool:
    """A receipt cannot be turned back into its vote, so those of the newest votes that wait are made."""
    fresh = VoteEvent.objects.filter(absorbed=False, kind=EventKind.CAST, origin=Origin.LIVE, vote__isnull=False)
    waiting = fresh.order_by("-created_at").values_list("vote_id", flat=True)[: settings.RECEIPTS_WAITING]
    return any(receipts.receipt(vote) == receipt for vote in waiting if vote)
