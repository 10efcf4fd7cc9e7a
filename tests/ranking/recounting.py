"""Both tables of counts from nothing but the events, written a second time and plainly: what absorb() is held against."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from arena.models import VoteEvent
from ranking.counting.cells import JudgeKey, PairKey


class Recount(NamedTuple):
    """Battles by cell and by judge's cell; of each cell also the sums of 1/P and 1/P^2."""

    pairs: Counter[PairKey]
    judges: Counter[JudgeKey]
    inverse: dict[PairKey, tuple[float, float]]


def recount(events: Iterable[VoteEvent]) -> Recount:
    by_vote: dict[UUID, list[VoteEvent]] = defaultdict(list)
    for event in events:
        by_vote[event.vote_id or event.id].append(event)  # an imported event has no vote and stands alone
    found = Recount(Counter(), Counter(), {})
    for group in by_vote.values():
        _add(found, sorted(group, key=lambda event: (event.created_at, event.id)))
    return found


def _add(found: Recount, events: list[VoteEvent]) -> None:
    """One vote's events in their order: the last word on flags and on categories counts, a void is final."""
    cast, void, flagged, categories = None, False, False, None
    for event in events:
        if event.kind == "cast":
            cast = cast or event
        elif event.kind == "void":
            void = True
        elif event.kind in ("flag", "unflag"):
            flagged = event.kind == "flag"
        elif event.kind == "recategorise":
            categories = event.categories
    if cast is None or not cast.ranked or void or flagged:
        return
    a, b = cast.contestant_a_id, cast.contestant_b_id
    low, high = sorted((a, b))
    winner = {"a": a, "b": b}.get(cast.choice)
    outcome = cast.choice if winner is None else "first" if winner == low else "second"
    found.judges[cast.origin, cast.judge, low, high, outcome] += 1
    for category in {"", *(cast.categories if categories is None else categories)}:
        key = (cast.origin, category, low, high, a == low, outcome)
        once, twice = found.inverse.get(key, (0.0, 0.0))
        found.pairs[key] += 1
        found.inverse[key] = once + 1 / cast.probability, twice + 1 / cast.probability**2
