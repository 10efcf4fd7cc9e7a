"""Writing and removing the synthetic battles. Everything they make has origin `demo`."""

from datetime import datetime, timedelta
from functools import cache
from uuid import uuid4

from django.db import transaction

from arena import markdown
from arena.clock import now
from arena.demo.recordings import Answer, Recordings
from arena.demo.voters import Bout
from arena.models import (
    Battle,
    ContestantRevision,
    Conversation,
    Message,
    Reply,
    Side,
    Turn,
    Vote,
    VoteEvent,
)
from arena.models.battles import BattleState, Origin, ReplyState, TurnState
from arena.models.conversations import Role
from arena.randomness import keyed_int

SAMPLER = "demo-1"
SPACING = timedelta(minutes=13)
WRITING = timedelta(seconds=4)
WRITTEN_IN_ORDER = (Conversation, Message, Battle, Turn, Reply, Vote, VoteEvent)

Rows = dict[type, list]


@transaction.atomic
def seed_battles(bouts: list[Bout], recordings: Recordings) -> int:
    """Write one voted battle per bout, the last one just now; returns how many."""
    revisions = _current_revisions()
    rows: Rows = {model: [] for model in WRITTEN_IN_ORDER}
    begin = now() - SPACING * len(bouts)
    html = cache(markdown.render)
    for i, bout in enumerate(bouts):
        answers = {slug: recordings.answers[bout.prompt, slug] for slug in (bout.a, bout.b)}
        _battle(rows, bout, revisions, begin + i * SPACING)
        for side, slug in ((Side.A, bout.a), (Side.B, bout.b)):
            _answer(rows, side, recordings.prompts[bout.prompt], answers[slug], html(answers[slug].text))
        _vote(rows, bout, revisions)
    for model in WRITTEN_IN_ORDER:
        model.objects.bulk_create(rows[model], batch_size=500)
    return len(bouts)


def _current_revisions() -> dict[str, ContestantRevision]:
    current = ContestantRevision.objects.filter(current=True, contestant__demo=True).select_related("contestant")
    return {revision.contestant.slug: revision for revision in current}


def _battle(rows: Rows, bout: Bout, revisions: dict[str, ContestantRevision], moment: datetime) -> None:
    a, b = revisions[bout.a], revisions[bout.b]
    conversations = [Conversation(revision=revision, created_at=moment) for revision in (a, b)]
    ready = moment + WRITING
    battle = Battle(
        origin=Origin.DEMO,
        state=BattleState.VOTED,
        conversation_a=conversations[0],
        conversation_b=conversations[1],
        revision_a=a,
        revision_b=b,
        probability=bout.probability,
        sampler=SAMPLER,
        created_at=moment,
        ready_at=ready,
        voted_at=ready + timedelta(seconds=bout.seconds_to_vote),
    )
    turn = Turn(
        battle=battle,
        number=1,
        key=uuid4(),
        state=TurnState.DONE,
        claims=1,
        created_at=moment,
        started_at=moment,
        finished_at=ready,
    )
    rows[Conversation] += conversations
    rows[Battle].append(battle)
    rows[Turn].append(turn)


def _answer(rows: Rows, side: Side, prompt: str, answer: Answer, html: str) -> None:
    """Both messages of one side, and its reply; the turn points at side A's prompt."""
    battle, turn = rows[Battle][-1], rows[Turn][-1]
    conversation = battle.conversation(side)
    said = Message(conversation=conversation, position=0, role=Role.USER, text=prompt, created_at=battle.created_at)
    text = Message(
        conversation=conversation,
        position=1,
        role=Role.ASSISTANT,
        text=answer.text,
        html=html,
        created_at=battle.ready_at,
    )
    if side == Side.A:
        turn.prompt = said
    reply = Reply(
        turn=turn,
        side=side,
        seed=keyed_int("seed", turn.id, side),
        state=ReplyState.DONE,
        finish_reason=answer.finish_reason,
        message=text,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        started_at=battle.created_at,
        first_token_at=battle.created_at + WRITING / 8,
        finished_at=battle.ready_at,
    )
    rows[Message] += [said, text]
    rows[Reply].append(reply)


def _vote(rows: Rows, bout: Bout, revisions: dict[str, ContestantRevision]) -> None:
    battle, turn = rows[Battle][-1], rows[Turn][-1]
    vote = Vote(
        battle=battle,
        turn=turn,
        choice=bout.choice,
        seconds_to_vote=bout.seconds_to_vote,
        created_at=battle.voted_at,
    )
    event = VoteEvent(
        origin=Origin.DEMO,
        vote=vote,
        contestant_a=revisions[bout.a].contestant,
        contestant_b=revisions[bout.b].contestant,
        choice=bout.choice,
        probability=bout.probability,
        created_at=battle.voted_at,
    )
    rows[Vote].append(vote)
    rows[VoteEvent].append(event)


@transaction.atomic
def wipe_battles() -> int:
    """Remove the demo battles with all that hangs on them (not their counts: see ranking.demo); returns how many.

    What writes beside it (labels of votes, enrichment of messages) locks its votes or messages in the order of their keys first.
    So does this, before it removes anything: it waits for them, removes what they wrote, and no deadlock can arise.
    """
    battles = Battle.objects.filter(origin=Origin.DEMO)
    sides = list(battles.values_list("conversation_a_id", "conversation_b_id"))
    said = Message.objects.filter(conversation__in=[pk for pair in sides for pk in pair])
    for rows in (Vote.objects.filter(battle__origin=Origin.DEMO), said):
        list(rows.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
    VoteEvent.objects.filter(origin=Origin.DEMO).delete()
    Vote.objects.filter(battle__origin=Origin.DEMO).delete()
    Reply.objects.filter(turn__battle__origin=Origin.DEMO).delete()
    Turn.objects.filter(battle__origin=Origin.DEMO).delete()
    battles.delete()
    Conversation.objects.filter(pk__in=[pk for pair in sides for pk in pair]).delete()
    return len(sides)
