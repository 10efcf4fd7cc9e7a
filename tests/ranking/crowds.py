"""Many live votes at once, with all that the watch looks at: visitors, prefixes, prompts and times."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import numpy as np

from arena.clock import now
from arena.models import (
    Battle,
    Contestant,
    Conversation,
    Enrichment,
    Message,
    Turn,
    Visitor,
    Vote,
    VoteEvent,
)
from arena.models.battles import BattleState, TurnState
from arena.moderation.detectors.fingerprints import fingerprints
from arena.votes import judge_of
from ranking import counts
from tests.ranking import rows

CHOICES = ("a", "b", "tie")


@dataclass
class Said:
    """One vote: positions of contestants, what was said, by whom, from where, about what, how fast, how long ago."""

    a: int
    b: int
    choice: str
    visitor: Visitor
    group: str = ""
    prompt: str = ""
    seconds: float = 30.0
    hours_ago: float = 1.0
    machine: bool = False


def cast(contestants: Sequence[Contestant], said: Iterable[Said]) -> list[Vote]:
    """Rows as `cast_vote` leaves them, many at once."""
    revisions = {one.pk: one.revisions.get() for one in contestants}
    made = []
    for one in said:
        a, b = contestants[one.a], contestants[one.b]
        at = now() - timedelta(hours=one.hours_ago)
        sides = [Conversation(revision=revisions[c.pk]) for c in (a, b)]
        prompt = Message(conversation=sides[0], position=0, role="user", text=one.prompt or str(uuid4()))
        battle = Battle(
            visitor=one.visitor,
            state=BattleState.VOTED,
            conversation_a=sides[0],
            conversation_b=sides[1],
            revision_a=revisions[a.pk],
            revision_b=revisions[b.pk],
            probability=0.1,
            sampler="test",
            voted_at=at,
        )
        turn = Turn(
            battle=battle,
            number=1,
            prompt=prompt,
            key=uuid4(),
            state=TurnState.DONE,
            group=one.group,
            started_at=at - timedelta(seconds=one.seconds + 5),
        )
        vote = Vote(
            battle=battle,
            turn=turn,
            visitor=one.visitor,
            choice=one.choice,
            seconds_to_vote=one.seconds,
            machine=one.machine,
            created_at=at,
        )
        event = VoteEvent(
            vote=vote,
            contestant_a=a,
            contestant_b=b,
            choice=one.choice,
            probability=0.1,
            judge=judge_of(one.visitor.pk),
            created_at=at,
        )
        made.append((sides, prompt, battle, turn, vote, event, one.prompt))
    Conversation.objects.bulk_create(side for sides, *_ in made for side in sides)
    for at, model in ((1, Message), (2, Battle), (3, Turn), (4, Vote), (5, VoteEvent)):
        model.objects.bulk_create(row[at] for row in made)  # type: ignore[attr-defined]
    Enrichment.objects.bulk_create(_enriched(row[1]) for row in made if row[6])
    return [row[4] for row in made]


def _enriched(message: Message) -> Enrichment:
    found = fingerprints(message.text)
    return Enrichment(
        message=message,
        version="test",
        text_sha256="0" * 64,
        language="en",
        language_name="English",
        language_confidence=1,
        chars=1,
        words=1,
        headers=0,
        lists=0,
        bold=0,
        fingerprint=found.exact,
        simhash=found.simhash,
    )


def flagged() -> set[UUID]:
    """Votes whose latest flag or unflag is a flag."""
    kinds: dict[UUID, str] = {}
    for event in VoteEvent.objects.filter(kind__in=("flag", "unflag")).order_by("created_at", "id"):
        kinds[event.vote_id] = event.kind
    return {vote for vote, kind in kinds.items() if kind == "flag"}


def visitors(number: int, days: float = 30) -> list[Visitor]:
    since = now() - timedelta(days=days)
    return Visitor.objects.bulk_create(Visitor(created_at=since, last_seen_at=since) for _ in range(number))


@dataclass
class Town:
    """Contestants of known strength, and a past of votes by nobody in particular that has been absorbed."""

    contestants: list[Contestant]
    theta: np.ndarray
    rng: np.random.Generator

    @classmethod
    def of(cls, size: int = 6, past: int = 200, seed: int = 1) -> "Town":
        made = rows.contestants(size)
        town = cls(made, np.linspace(0.8, -0.8, size), np.random.default_rng(seed))
        for i in range(size):
            for j in range(i + 1, size):
                said = [town.honest(i, j) for _ in range(past)]
                rows.ballot(made[i], made[j], said.count("a"), said.count("b"), said.count("tie"))
        counts.absorb()
        return town

    def honest(self, a: int, b: int) -> str:
        chance = 1 / (1 + np.exp(self.theta[b] - self.theta[a]))
        return str(self.rng.choice(CHOICES, p=[0.75 * chance, 0.75 * (1 - chance), 0.25]))

    def pair(self) -> tuple[int, int]:
        a, b = self.rng.choice(len(self.contestants), 2, replace=False)
        return int(a), int(b)

    def votes(self, visitor: Visitor, number: int, target: int | None = None, **fields: object) -> list[Said]:
        """Honest votes, or with `target` votes for it in battles of its own."""
        said = []
        for _ in range(number):
            a, b = self.pair()
            if target is not None and target not in (a, b):
                a, b = (target, b) if self.rng.random() < 0.5 else (b, target)
            choice = self.honest(a, b) if target is None else "a" if a == target else "b"
            said.append(Said(a, b, choice, visitor, **fields))  # type: ignore[arg-type]
        return said

    def cast(self, said: Iterable[Said]) -> list[Vote]:
        votes = cast(self.contestants, said)
        counts.absorb()
        return votes
