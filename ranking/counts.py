"""absorb(): the only writer of pair-outcome counts, of counts per judge and of the vote log.

A vote's events are the truth; what a vote adds to the counts is a function of the set of its events that were absorbed
(`contributions.counted`). A batch of new events therefore changes the counts by what all events add less what the earlier ones
added, for each vote it touches: events may commit late, arrive in any order or repeat, and a void takes away exactly what its
cast had added, if anything. An `absorbed` flag per event, not an id watermark, marks what is done, because a watermark skips
late commits.

One absorber at a time (advisory lock, held to the end of the batch's transaction); a crash leaves the whole batch for the next
run. A batch is one statement per table of counts, its cells in sorted order (`ranking.counting.cells`). Cells that went back to
zero stay: they cost a row, and an absorber that deleted them would write it again for every vote that comes and goes.
The same transaction seals the batch in the vote log (`ranking.votelog.sealing`), so that counts and log cannot disagree.
"""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from arena.models import VoteEvent
from ranking.counting import cells
from ranking.counting.contributions import change, counted
from ranking.votelog import earlier, sealing

LOCK, IMPORTS = 0x61676F6E_0001, 0x61676F6E_0002  # "agon", 1 and 2: advisory locks share one number space per database


def take_lock() -> None:
    """Be the only writer of counts until this transaction ends. Call first in the transaction."""
    _lock(LOCK)


def take_lock_of_imports() -> None:
    """One import at a time, while votes go on being absorbed. Whoever needs both locks takes this one first."""
    _lock(IMPORTS)


def _lock(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def absorb() -> int:
    """Turn every event that nobody has absorbed yet into counts, batch by batch; returns how many events.

    Stops after settings.ABSORB_BATCHES batches of settings.ABSORB_BATCH events; the next run goes on from there. Votes of before
    the vote log come first, all of them.
    """
    while earlier.waiting() and _seal_earlier():
        pass
    total = 0
    for _batch in range(settings.ABSORB_BATCHES):
        absorbed = _absorb_batch(settings.ABSORB_BATCH)
        total += absorbed
        if absorbed < settings.ABSORB_BATCH:
            break
    return total


@transaction.atomic
def _seal_earlier() -> bool:
    take_lock()
    return earlier.seal_batch()


@transaction.atomic
def _absorb_batch(limit: int) -> int:
    take_lock()
    batch = list(VoteEvent.objects.filter(absorbed=False).order_by("created_at", "id")[:limit])
    if not batch:
        return 0
    votes = {event.vote_id for event in batch if event.vote_id}
    known = list(VoteEvent.objects.filter(vote__in=votes, absorbed=True))
    pairs, judges = _changes(known, batch)
    cells.add_pairs(pairs)
    cells.add_judges(judges)
    sealing.seal(batch, known)
    VoteEvent.objects.filter(pk__in=[event.pk for event in batch]).update(absorbed=True)
    return len(batch)


def _by_vote(events: Iterable[VoteEvent]) -> dict[UUID, list[VoteEvent]]:
    """An imported event has no vote and stands alone."""
    groups: dict[UUID, list[VoteEvent]] = defaultdict(list)
    for event in events:
        groups[event.vote_id or event.id].append(event)
    return groups


def _changes(known: Iterable[VoteEvent], batch: list[VoteEvent]) -> tuple[cells.PairChanges, cells.JudgeChanges]:
    """Per pair cell: change of count, of sum 1/P and of sum 1/P^2; per judge cell: change of count."""
    before = _by_vote(known)
    pairs: cells.PairChanges = defaultdict(lambda: [0, 0.0, 0.0])
    judges: cells.JudgeChanges = defaultdict(int)
    for vote, events in _by_vote(batch).items():
        had = before.get(vote, [])
        old, new = counted(had), counted([*had, *events])
        if old == new:
            continue
        for sign, part in ((-1, old), (1, new)):
            if part:
                change(pairs, judges, sign, part)
    return pairs, judges
