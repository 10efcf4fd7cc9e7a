"""Exclusions for abuse that are not public yet: what they hide from the public counts.

A void or a flag works on the operators' counts at once. The public counts take it in with the batch in which it enters the
public log; until then they are the counts plus what these exclusions took away (less what a flag that was taken back gave).
"""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from arena.models import VoteEvent
from arena.models.votes import EventKind
from ranking.counting import cells
from ranking.counting.contributions import change, counted
from ranking.votelog.models import WithheldEntry

KINDS = frozenset({EventKind.VOID, EventKind.FLAG, EventKind.UNFLAG})


class Hidden(NamedTuple):
    """What to add to the counts, so that they are as the public log stands."""

    pairs: cells.PairChanges
    judges: cells.JudgeChanges


def hidden(origin: str) -> Hidden:
    """Of all votes with an exclusion that is sealed and not released. Read under the counts' lock."""
    pairs: cells.PairChanges = defaultdict(lambda: [0, 0.0, 0.0])
    judges: cells.JudgeChanges = defaultdict(int)
    waiting = WithheldEntry.objects.filter(released_at=None, event__origin=origin, event__vote__isnull=False)
    for everything, public in groups_of(set(waiting.values_list("event__vote_id", flat=True))):
        now, then = counted(everything), counted(public)
        if now == then:
            continue
        for sign, vote in ((-1, now), (1, then)):
            if vote:
                change(pairs, judges, sign, vote)
    return Hidden(pairs, judges)


def groups_of(votes: Collection[UUID]) -> list[tuple[list[VoteEvent], list[VoteEvent]]]:
    """Per vote: all its absorbed events, and those of them that are public."""
    waiting = WithheldEntry.objects.filter(released_at=None, event__vote__in=votes)
    secret = set(waiting.values_list("event_id", flat=True))
    groups: dict[UUID | None, list[VoteEvent]] = defaultdict(list)
    for event in VoteEvent.objects.filter(vote__in=votes, absorbed=True):
        groups[event.vote_id].append(event)
    return [(events, [event for event in events if event.pk not in secret]) for events in groups.values()]
