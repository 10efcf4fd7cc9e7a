"""What a battle page shows, read from the rows. Before the vote nothing here touches a contestant, revision or deployment."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.safestring import SafeString, mark_safe

from arena import receipts, transcript
from arena.ids import uuid4
from arena.models import Battle, Reply, Side, Turn, Vote
from arena.models.battles import BattleState, FinishReason, Origin, ReplyState, TurnState
from arena.models.contestants import ContestantRevision

LONG_PROMPT = 280  # characters; a longer question is set smaller and scrolls


@dataclass(frozen=True)
class Card:
    """A contestant after the vote. Under a codename only the codename is told."""

    name: str
    slug: str
    organisation: str = ""
    licence: str = ""
    adapter: str = ""
    anonymous_until: Any = None
    first_word_s: float | None = None


@dataclass(frozen=True)
class Answer:
    """One side of one turn."""

    side: str
    attempt: int
    state: str  # open, done, stopped, early, length, failed, blocked
    html: SafeString = field(default_factory=lambda: mark_safe(""))
    can_retry: bool = False
    reported: bool = False


@dataclass(frozen=True)
class Exchange:
    """A prompt and its two answers."""

    number: int
    prompt: str
    answers: list[Answer]
    open: bool
    post_reveal: bool

    @property
    def long(self) -> bool:
        return len(self.prompt) > LONG_PROMPT or self.prompt.count("\n") > 4


class Scene:
    """A battle as its owner sees it."""

    def __init__(self, battle: Battle, vote: Vote | None = None) -> None:
        """`vote`: the one that has just been cast on `battle`, with the contestants that it was cast on."""
        self.battle = battle
        self.just_voted = vote is not None
        if vote is not None:
            self.vote = vote

    @cached_property
    def exchanges(self) -> list[Exchange]:
        return [self._exchange(turn) for turn in self._turns]

    @cached_property
    def _turns(self) -> list[Turn]:
        return transcript.turns_of(self.battle)

    def _exchange(self, turn: Turn) -> Exchange:
        is_open = turn.state != TurnState.DONE
        answers = [self._answer(turn, reply, is_open) for reply in turn.replies.all()]
        return Exchange(turn.number, turn.prompt.text, answers, is_open, turn.post_reveal)

    def _answer(self, turn: Turn, reply: Reply, is_open: bool) -> Answer:
        """While one side is retried, the other's finished answer stays on the page."""
        state = _answer_state(reply)
        return Answer(
            side=reply.side,
            attempt=reply.attempt,
            state=state,
            html=mark_safe(_html(reply)),  # noqa: S308 - made by arena.markdown
            can_retry=not is_open
            and state in ("failed", "early")
            and (turn.post_reveal or not self.revealed)
            and not self.over,
            reported=reply.reported,  # type: ignore[attr-defined]  # arena.transcript reads it
        )

    @property
    def voted_on(self) -> list[Exchange]:
        """What was said before the names were known."""
        return [exchange for exchange in self.exchanges if not exchange.post_reveal]

    @property
    def first(self) -> Exchange | None:
        return self.exchanges[0] if self.exchanges else None

    @property
    def last(self) -> Exchange | None:
        return self.exchanges[-1] if self.exchanges else None

    @property
    def revealed(self) -> bool:
        return self.battle.revealed

    @property
    def over(self) -> bool:
        return self.battle.state == BattleState.VOID

    @property
    def streaming(self) -> bool:
        return bool(self.last and self.last.open)

    @property
    def writing(self) -> list[str]:
        """The sides that are being written: both, or the one that is retried."""
        return [answer.side for answer in self.last.answers if answer.state == "open"] if self.last else []

    @property
    def failed_sides(self) -> list[str]:
        return [answer.side for answer in self.last.answers if answer.state == "failed"] if self.last else []

    @property
    def withheld_sides(self) -> list[str]:
        return [answer.side for answer in self.last.answers if answer.state == "blocked"] if self.last else []

    @property
    def phase(self) -> str:
        """`streaming`, `failed`, `ready`, `voted` or `void`: which dock the page shows."""
        if self.streaming:
            return "streaming"
        return "voted" if self.revealed else str(self.battle.state)

    @property
    def stream_url(self) -> str:
        """The event stream of the open turn, "" when nothing is being written."""
        url = reverse("battle", args=[self.battle.pk])
        return f"{url}turns/{self.last.number}/stream" if self.last and self.streaming else ""

    @property
    def can_send(self) -> bool:
        room = len(self.exchanges) < settings.MAX_TURNS
        return room and self.phase in ("ready", "voted") and not (self.failed_sides or self.withheld_sides)

    @cached_property
    def vote(self) -> Vote | None:
        return Vote.objects.filter(battle=self.battle).first() if self.revealed else None

    @property
    def receipt(self) -> str:
        """Of a vote that enters the vote log; votes of the demo do not."""
        return receipts.receipt(self.vote.pk) if self.vote and self.battle.origin == Origin.LIVE else ""

    @cached_property
    def first_vote(self) -> bool:
        if self.just_voted:
            return not self.battle.voted_before  # type: ignore[attr-defined]  # arena.votes has read it
        mine = Vote.objects.filter(visitor=self.battle.visitor_id)
        return self.battle.visitor_id is not None and mine.count() == 1

    @cached_property
    def cards(self) -> dict[str, Card]:
        """The contestants by side; empty until the vote is stored."""
        if not self.revealed:
            return {}
        first_words = self._first_words()
        return {side: _card(revision, first_words.get(side)) for side, revision in self._revisions().items()}

    def _revisions(self) -> dict[str, ContestantRevision]:
        if self.just_voted:
            return {side: self.battle.revision(side) for side in Side}
        ids = {Side.A: self.battle.revision_a_id, Side.B: self.battle.revision_b_id}
        found = ContestantRevision.objects.select_related("contestant").in_bulk(ids.values())
        return {side: found[key] for side, key in ids.items()}

    def _first_words(self) -> dict[str, float]:
        """Seconds to the first word of each side, in the last turn before the reveal."""
        before = [turn for turn in self._turns if not turn.post_reveal]
        replies = before[-1].replies.all() if before else ()
        return {
            reply.side: max(0.0, (reply.first_token_at - reply.started_at).total_seconds())
            for reply in replies
            if reply.first_token_at and reply.started_at
        }

    @property
    def heads(self) -> list[tuple[str, Card | None]]:
        return [(side, self.cards.get(side)) for side in Side.values]


def _answer_state(reply: Reply) -> str:
    if reply.state != ReplyState.DONE:
        return "failed" if reply.state == ReplyState.FAILED else "open"
    return "done" if reply.finish_reason == FinishReason.STOP else reply.finish_reason


def _html(reply: Reply) -> str:
    """What the page shows of an answer: nothing of one that moderation cut."""
    return reply.message.html if reply.message and reply.finish_reason != FinishReason.BLOCKED else ""


def _card(revision: ContestantRevision, first_word_s: float | None) -> Card:
    contestant = revision.contestant
    if contestant.anonymous:
        return Card(contestant.codename, contestant.public_slug, anonymous_until=contestant.anonymous_until)
    return Card(
        name=contestant.name,
        slug=contestant.public_slug,
        organisation=contestant.organisation,
        licence=contestant.licence,
        adapter=revision.model if revision.adapter_id else "",
        first_word_s=first_word_s,
    )


def scene_context(battle: Battle, vote: Vote | None = None) -> dict[str, Any]:
    """Template context of the battle page and of its part; `key` is fresh for the next send.

    `battle` has just been read, or is as the transaction of `vote` has left it.
    """
    return {"scene": Scene(battle, vote), "battle_id": battle.pk, "key": uuid4(), "limit": settings.PROMPT_MAX_CHARS}
