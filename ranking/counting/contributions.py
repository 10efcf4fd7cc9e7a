"""What one vote adds to the counts, as a function of the set of its events."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from arena.models import Choice, VoteEvent
from arena.models.votes import EventKind
from ranking.counting.cells import JudgeChanges, JudgeKey, PairChanges, PairKey

OVERALL = ""  # the category that every vote is in


class Counted(NamedTuple):
    """A vote that counts: `first` is the contestant with the lower id, `outcome` is seen from it."""

    origin: str
    first: UUID
    second: UUID
    first_was_a: bool
    outcome: str
    probability: float
    by: str
    categories: tuple[str, ...]

    def pairs(self) -> list[PairKey]:
        """One battle in the overall cell and one in each category's."""
        rest = (self.first, self.second, self.first_was_a, self.outcome)
        return [(self.origin, category, *rest) for category in (OVERALL, *self.categories)]

    def judge(self) -> JudgeKey:
        return self.origin, self.by, self.first, self.second, self.outcome


def counted(events: Iterable[VoteEvent]) -> Counted | None:
    """None while the cast is missing or unranked, after a void, and while the latest of flag and unflag is a flag.

    Of recategorise events the latest one counts. Events of one moment are ordered by their ids.
    """
    events = sorted(events, key=lambda event: (event.created_at, event.id))
    cast = next((event for event in events if event.kind == EventKind.CAST), None)
    if cast is None or not cast.ranked or any(event.kind == EventKind.VOID for event in events):
        return None
    latest = {str(event.kind): event for event in events}
    if latest_flag([event.kind for event in events]) == EventKind.FLAG:
        return None
    categories = latest.get(EventKind.RECATEGORISE, cast).categories
    first_was_a = cast.contestant_a_id < cast.contestant_b_id
    pair = (cast.contestant_a_id, cast.contestant_b_id)
    first, second = pair if first_was_a else pair[::-1]
    outcome = str(cast.choice)
    if cast.choice in (Choice.A, Choice.B):
        outcome = "first" if (cast.choice == Choice.A) == first_was_a else "second"
    named = tuple(sorted(set(categories) - {OVERALL}))
    return Counted(cast.origin, first, second, first_was_a, outcome, cast.probability, cast.judge, named)


def latest_flag(kinds: Iterable[str]) -> str | None:
    """The last of FLAG and UNFLAG among the kinds of a vote's events in their order."""
    return next((kind for kind in reversed(list(kinds)) if kind in (EventKind.FLAG, EventKind.UNFLAG)), None)


def change(pairs: PairChanges, judges: JudgeChanges, sign: int, vote: Counted) -> None:
    """Add one vote to the changes of both tables (sign 1), or take it away (-1)."""
    for key in vote.pairs():
        cell = pairs[key]
        cell[0] += sign
        cell[1] += sign / vote.probability
        cell[2] += sign / vote.probability**2
    judges[vote.judge()] += sign
