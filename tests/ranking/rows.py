"""Votes and their events for tests, written as the vote's transaction writes them."""

from itertools import count
from uuid import uuid4

import pytest

from arena.clock import now
from arena.models import Battle, Contestant, ContestantRevision, Conversation, Message, Turn, Vote, VoteEvent
from arena.models.battles import BattleState, Origin, TurnState
from ranking.counting.cells import JudgeKey, PairKey
from ranking.models import JudgeCount, PairCount
from tests.ranking.recounting import recount

_numbers = count(1)


def contestants(size: int, **fields: object) -> list[Contestant]:
    made = []
    for _ in range(size):
        number = next(_numbers)
        made.append(
            Contestant.objects.create(name=f"Model {number}", slug=f"model-{number}", organisation="Org", **fields)
        )
        ContestantRevision.objects.create(contestant=made[-1], number=1, model=f"m{number}")
    return made


def vote(a: Contestant, b: Contestant, choice: str, origin: str = Origin.LIVE) -> Vote:
    """A voted battle without its event."""
    revisions = [one.revisions.get() for one in (a, b)]
    sides = [Conversation.objects.create(revision=revision) for revision in revisions]
    prompt = Message.objects.create(conversation=sides[0], position=0, role="user", text="?")
    battle = Battle.objects.create(
        origin=origin,
        state=BattleState.VOTED,
        conversation_a=sides[0],
        conversation_b=sides[1],
        revision_a=revisions[0],
        revision_b=revisions[1],
        probability=1,
        sampler="test",
        voted_at=now(),
    )
    turn = Turn.objects.create(battle=battle, number=1, prompt=prompt, key=uuid4(), state=TurnState.DONE)
    return Vote.objects.create(battle=battle, turn=turn, choice=choice, seconds_to_vote=1)


def event(of: Vote | None, a: Contestant, b: Contestant, choice: str, **fields: object) -> VoteEvent:
    return VoteEvent.objects.create(vote=of, contestant_a=a, contestant_b=b, choice=choice, **fields)


def cast(a: Contestant, b: Contestant, choice: str, origin: str = Origin.LIVE, **fields: object) -> VoteEvent:
    return event(vote(a, b, choice, origin), a, b, choice, origin=origin, **fields)


def follow(cast_event: VoteEvent, kind: str, **fields: object) -> VoteEvent:
    """A later event about the same vote: void, flag or recategorise."""
    return event(
        cast_event.vote,
        cast_event.contestant_a,
        cast_event.contestant_b,
        cast_event.choice,
        kind=kind,
        origin=cast_event.origin,
        **fields,
    )


def ballot(
    winner: Contestant, loser: Contestant, wins: int, losses: int = 0, ties: int = 0, origin: str = "live"
) -> None:
    """Events without votes (as imports are), many at once."""
    choices = ["a"] * wins + ["b"] * losses + ["tie"] * ties
    VoteEvent.objects.bulk_create(
        VoteEvent(contestant_a=winner, contestant_b=loser, choice=choice, origin=origin) for choice in choices
    )


def stored(origin: str) -> dict[PairKey, int]:
    """The counts as they stand, without empty cells."""
    names = ("origin", "category", "first_id", "second_id", "first_was_a", "outcome", "count")
    counted: dict[PairKey, int] = {}
    for *key, number in PairCount.objects.filter(origin=origin, count__gt=0).values_list(*names):
        counted[tuple(key)] = number  # type: ignore[index]
    return counted


def stored_inverse(origin: str) -> dict[PairKey, tuple[float, float]]:
    """Sums of 1/P and 1/P^2 as they stand, without empty cells."""
    names = ("origin", "category", "first_id", "second_id", "first_was_a", "outcome", "inverse_p", "inverse_p2")
    sums: dict[PairKey, tuple[float, float]] = {}
    for *key, once, twice in PairCount.objects.filter(origin=origin, count__gt=0).values_list(*names):
        sums[tuple(key)] = once, twice  # type: ignore[index]
    return sums


def stored_by_judge(origin: str) -> dict[JudgeKey, int]:
    """The counts per judge as they stand, without empty cells."""
    names = ("origin", "judge", "first_id", "second_id", "outcome", "count")
    counted: dict[JudgeKey, int] = {}
    for *key, number in JudgeCount.objects.filter(origin=origin, count__gt=0).values_list(*names):
        counted[tuple(key)] = number  # type: ignore[index]
    return counted


def agree(origin: str) -> bool:
    """Whether the counts of an origin are those that its events give when all are counted anew, by other code."""
    pairs, judges, inverse = recount(VoteEvent.objects.filter(origin=origin))
    sums = stored_inverse(origin)
    same = sums.keys() == inverse.keys() and all(sums[key] == pytest.approx(inverse[key]) for key in inverse)
    return same and stored(origin) == pairs and stored_by_judge(origin) == judges
