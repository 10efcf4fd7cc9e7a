"""absorb(): the only writer of pair-outcome counts.

A vote's events are the truth; what a vote adds to the counts is a function of the set of its events that were absorbed
(`cells_of`). A batch of new events therefore changes the counts by cells_of(absorbed + new) - cells_of(absorbed) for each vote
it touches: events may commit late, arrive in any order or repeat, and a void takes away exactly what its cast had added, if
anything. An `absorbed` flag per event, not an id watermark, marks what is done, because a watermark skips late commits.

One absorber at a time (advisory lock, held to the end of the batch's transaction); a crash leaves the whole batch for
the next run. Cells are written in sorted order.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from arena.models import Choice, VoteEvent
from arena.models.votes import EventKind
from ranking.models import PairCount

LOCK = 0x61676F6E_0001  # "agon", 1: pg_advisory locks share one number space per database

# origin, category, first, second, first_was_a, outcome; and the probability its battle was drawn with
CellKey = tuple[str, str, UUID, UUID, bool, str]
Contribution = tuple[CellKey, float]


def take_lock() -> None:
    """Be the only writer of counts until this transaction ends. Call first in the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def absorb() -> int:
    """Turn every event that nobody has absorbed yet into counts, batch by batch; returns how many events.

    Stops after settings.ABSORB_BATCHES batches of settings.ABSORB_BATCH events; the next run goes on from there.
    """
    total = 0
    for _batch in range(settings.ABSORB_BATCHES):
        absorbed = _absorb_batch(settings.ABSORB_BATCH)
        total += absorbed
        if absorbed < settings.ABSORB_BATCH:
            break
    return total


@transaction.atomic
def _absorb_batch(limit: int) -> int:
    take_lock()
    batch = list(VoteEvent.objects.filter(absorbed=False).order_by("created_at", "id")[:limit])
    if not batch:
        return 0
    votes = {event.vote_id for event in batch if event.vote_id}
    earlier = VoteEvent.objects.filter(vote__in=votes, absorbed=True)
    _write(_changes(earlier, batch))
    VoteEvent.objects.filter(pk__in=[event.pk for event in batch]).update(absorbed=True)
    return len(batch)


def recount(events: Iterable[VoteEvent]) -> Counter[CellKey]:
    """What the counts must be, from nothing but the events: the test of absorb() and the tool to repair with."""
    return Counter(key for group in _by_vote(events).values() for key, _probability in cells_of(group))


def cells_of(events: Iterable[VoteEvent]) -> list[Contribution]:
    """What one vote adds: one battle to the overall cell and, where it has a category, to that category's.

    Nothing while the cast is missing or unranked, and nothing after a void or a flag. Recategorise: the latest one counts.
    """
    events = sorted(events, key=lambda event: (event.created_at, event.id))
    cast = next((event for event in events if event.kind == EventKind.CAST), None)
    if cast is None or not cast.ranked or any(e.kind in (EventKind.VOID, EventKind.FLAG) for e in events):
        return []
    category = next((e.category for e in reversed(events) if e.kind == EventKind.RECATEGORISE), cast.category)
    return [(_key(cast, name), cast.probability) for name in dict.fromkeys(("", category))]


def _key(cast: VoteEvent, category: str) -> CellKey:
    first_was_a = cast.contestant_a_id < cast.contestant_b_id
    pair = (cast.contestant_a_id, cast.contestant_b_id)
    first, second = pair if first_was_a else pair[::-1]
    outcome = str(cast.choice)
    if cast.choice in (Choice.A, Choice.B):
        outcome = "first" if (cast.choice == Choice.A) == first_was_a else "second"
    return cast.origin, category, first, second, first_was_a, outcome


def _by_vote(events: Iterable[VoteEvent]) -> dict[UUID, list[VoteEvent]]:
    """An imported event has no vote and stands alone."""
    groups: dict[UUID, list[VoteEvent]] = defaultdict(list)
    for event in events:
        groups[event.vote_id or event.id].append(event)
    return groups


def _changes(earlier: Iterable[VoteEvent], batch: list[VoteEvent]) -> dict[CellKey, list[float]]:
    """Per cell: change of count, of sum 1/P and of sum 1/P^2."""
    before = _by_vote(earlier)
    changes: dict[CellKey, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for vote, events in _by_vote(batch).items():
        old, new = cells_of(before.get(vote, [])), cells_of([*before.get(vote, []), *events])
        if old == new:
            continue
        for sign, parts in ((-1, old), (1, new)):
            for key, probability in parts:
                cell = changes[key]
                cell[0] += sign
                cell[1] += sign / probability
                cell[2] += sign / probability**2
    return changes


def _write(changes: dict[CellKey, list[float]]) -> None:
    """Add to the cells in sorted order. A missing cell starts at zero, so that a CHECK never sees a bare negative change."""
    keys = sorted(changes)
    names = ("origin", "category", "first_id", "second_id", "first_was_a", "outcome")
    PairCount.objects.bulk_create(
        [PairCount(**dict(zip(names, key, strict=True))) for key in keys], ignore_conflicts=True
    )
    statement = """
        UPDATE ranking_paircount SET count = count + %s, inverse_p = inverse_p + %s, inverse_p2 = inverse_p2 + %s
        WHERE origin = %s AND category = %s AND first_id = %s AND second_id = %s AND first_was_a = %s AND outcome = %s
    """
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(*changes[key], *key) for key in keys])
