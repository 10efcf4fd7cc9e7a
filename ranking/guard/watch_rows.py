"""What the watch looks at: recent live votes as columns of codes. numpy is loaded here, in the batch worker alone."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db.models import F, QuerySet

from arena.models import Choice, VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from ranking.detectors import duplicates, haste
from ranking.detectors.history import A_WON, B_WON, TIED, Ballots, History
from ranking.detectors.watching import Votes
from ranking.estimators.tally import Cell, Ints, Outcome, Tally
from ranking.models import PairCount

SAID = {Choice.A: A_WON, Choice.B: B_WON, Choice.TIE: TIED, Choice.BOTH_BAD: TIED}


class Row(NamedTuple):
    """One ranked live vote."""

    vote_id: UUID
    a: UUID
    b: UUID
    choice: str
    judge: str
    at: datetime
    group: str
    fingerprint: str | None
    simhash: int | None
    since_ready: float
    begun: datetime | None
    machine: bool
    length_a: int | None
    length_b: int | None
    known_since: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """`rows` beside their columns; `models`: contestant ids by position; `first_share`: of decided battles that A wins."""

    rows: list[Row]
    votes: Votes
    models: list[UUID]
    history: History
    first_share: float


def look(moment: datetime, fresh: Collection[UUID] = ()) -> Seen:
    """The newest WATCH_ROWS ranked live votes of the last WATCH_DAYS, oldest first, and the counts that they are held against.

    `fresh`: ids of the votes that are looked at for the first time.
    """
    since = moment - timedelta(days=settings.WATCH_DAYS)
    rows = [Row(*row) for row in reversed(_casts(since)[: settings.WATCH_ROWS])]
    cells = list(
        PairCount.objects.filter(origin=Origin.LIVE, category="", count__gt=0).values_list(
            "first_id", "second_id", "first_was_a", "outcome", "count"
        )
    )
    models = sorted({one for row in rows for one in (row.a, row.b)} | {one for cell in cells for one in cell[:2]})
    tally = Tally.of_cells(
        [Cell(str(a), str(b), outcome, count, was_a) for a, b, was_a, outcome, count in cells], [str(m) for m in models]
    )
    return Seen(rows, _columns(rows, models, set(fresh), _out(since)), models, History.of(tally), _first_share(tally))


def _casts(since: datetime) -> QuerySet[VoteEvent, Any]:
    casts = VoteEvent.objects.filter(
        origin=Origin.LIVE, kind=EventKind.CAST, ranked=True, vote__isnull=False, created_at__gt=since
    )
    return casts.order_by("-created_at", "-id").values_list(
        "vote_id",
        "contestant_a_id",
        "contestant_b_id",
        "choice",
        "judge",
        "created_at",
        F("vote__turn__group"),
        F("vote__turn__prompt__enrichment__fingerprint"),
        F("vote__turn__prompt__enrichment__simhash"),
        F("vote__seconds_to_vote"),
        F("vote__turn__started_at"),
        F("vote__machine"),
        F("style__length_a"),
        F("style__length_b"),
        F("vote__visitor__created_at"),
    )


def _out(since: datetime) -> set[UUID | None]:
    """Votes that are flagged (the latest of flag and unflag counts) or void.

    Read beside the casts, not as subqueries of them: planned with old statistics, those looked through all events for each vote.
    A vote is never taken out before it is cast, so that the same days hold all that is needed.
    """
    kinds = (EventKind.FLAG, EventKind.UNFLAG, EventKind.VOID)
    events = VoteEvent.objects.filter(origin=Origin.LIVE, kind__in=kinds, created_at__gt=since)
    flagged: dict[UUID | None, bool] = {}
    void: set[UUID | None] = set()
    for vote, kind in events.order_by("created_at", "id").values_list("vote_id", "kind"):
        if kind == EventKind.VOID:
            void.add(vote)
        else:
            flagged[vote] = kind == EventKind.FLAG
    return void | {vote for vote, is_out in flagged.items() if is_out}


def codes(values: Iterable[str | None]) -> tuple[Ints, list[str]]:
    """Numbers for texts in the order in which they appear, -1 for an empty one; and the texts by number."""
    known: dict[str, int] = {}
    found = [known.setdefault(value, len(known)) if value else -1 for value in values]
    return np.array(found, np.int64), list(known)


def _columns(rows: Sequence[Row], models: list[UUID], fresh: set[UUID], taken_out: set[UUID | None]) -> Votes:
    place = {model: i for i, model in enumerate(models)}
    voter, _ = codes(row.judge for row in rows)
    at = np.array([row.at.timestamp() for row in rows])
    said = [SAID[Choice(row.choice)] for row in rows]
    out = np.array([row.vote_id in taken_out for row in rows], np.bool_)
    return Votes(
        ballots=Ballots.of([place[row.a] for row in rows], [place[row.b] for row in rows], said),
        voter=voter,
        prefix=codes(row.group for row in rows)[0],
        prompt=duplicates.clusters([row.fingerprint or "" for row in rows], [row.simhash or 0 for row in rows]),
        at=at,
        risk=haste.score(
            machine=np.array([row.machine for row in rows], np.bool_),
            since_ready=np.array([row.since_ready for row in rows]),
            since_begun=np.array([_seconds(row.begun, row.at) for row in rows]),
            characters=np.array([(row.length_a or 0) + (row.length_b or 0) for row in rows], float),
            age=np.array([_seconds(row.known_since, row.at) for row in rows]),
            recent=haste.recent(voter, at),
        ),
        fresh=np.array([row.vote_id in fresh for row in rows], np.bool_),
        counted=~out,
    )


def _seconds(since: datetime | None, until: datetime) -> float:
    """An unknown beginning was long ago."""
    return (until - since).total_seconds() if since else 1e9


def _first_share(tally: Tally) -> float:
    """Of decided battles that the answer shown first won; one half until there are a thousand."""
    decided = tally.outcome < Outcome.TIE
    won_first = (tally.outcome == Outcome.FIRST) == tally.first_was_a
    total = tally.count[decided].sum()
    return float(tally.count[decided & won_first].sum() / total) if total >= 1000 else 0.5
