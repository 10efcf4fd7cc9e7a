"""A moderation rule cuts a side while it is written: upstream closed, text withheld, battle without a vote, record kept."""

import pytest
from asgiref.sync import sync_to_async

from arena import battles, turns, votes
from arena.errors import Refused
from arena.generation.run import TurnRun
from arena.ids import uuid4
from arena.models import Battle, ModerationRecord, Reply, Turn
from arena.models.battles import BattleState, FinishReason, VoidReason
from arena.models.moderation import Standing
from arena.moderation import policy
from arena.moderation.verdicts import text_sha256
from arena.streams import replay
from inference.events import GenerationFailed
from tests import factories
from tests.arena.generation.playing import END, ScriptedDispatcher, begin, play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]
HONEST = "It is a long and honest introduction to the question that you have asked me today. "
INSTRUCTS = "First, mix the two powders. Then fill the pipe bomb with it. "


async def reply_of(turn: Turn, side: str) -> Reply:
    return await Reply.objects.select_related("message").aget(turn=turn, side=side)


@pytest.mark.parametrize("side", ["a", "b"])
async def test_either_side_is_cut_at_once_and_what_was_shown_is_taken_back(side: str) -> None:
    turn = await begin()
    bad = [HONEST, 0.2, INSTRUCTS, HONEST, 30.0, "never read", END]
    fine = [HONEST, 0.3, END]
    scripts = {"a": fine, "b": fine} | {side: bad}
    dispatcher = ScriptedDispatcher(scripts["a"], scripts["b"])
    played = await play(turn, dispatcher)
    shown = [data[side] for name, data in played.told if name == "frame" and side in data]
    assert HONEST.strip() in str(shown), "the first sentence had been shown"
    assert "pipe bomb" not in str(shown)
    assert ("reset", {"side": side, "attempt": 1}) in played.told
    assert played.text(side) == ""
    assert played.end(side) == "blocked"
    assert played.end("b" if side == "a" else "a") == "done"
    assert dispatcher.closed == 2, "its upstream was closed, not read to the end"
    assert played.told[-1] == ("done", {"battle": "void"})


async def test_the_text_is_kept_for_the_moderator_and_flagged_but_has_no_html() -> None:
    turn = await begin()
    played = await play(turn, ScriptedDispatcher([HONEST, INSTRUCTS, HONEST, 30.0], ["fine", END]))
    reply = await reply_of(turn, "a")
    assert (reply.state, reply.finish_reason) == ("done", FinishReason.BLOCKED)
    assert "pipe bomb" in reply.message.text and "never" not in reply.message.text
    assert reply.message.html == ""
    record = await ModerationRecord.objects.aget(message=reply.message)
    assert (record.backend, record.standing, record.categories) == ("rules", Standing.FLAGGED, ["weapons"])
    assert record.reason == "weapons.reply"
    assert record.policy == policy.load().version
    assert record.text_sha256 == text_sha256(reply.message.text)
    assert (played.battle.state, played.battle.void_reason) == (BattleState.VOID, VoidReason.MODERATED)


async def test_there_is_no_vote_no_further_turn_and_no_retry() -> None:
    turn = await begin()
    played = await play(turn, ScriptedDispatcher([INSTRUCTS, HONEST, END], ["fine", END]))
    for verb in (
        lambda: votes.cast_vote(played.battle.pk, "a", 1),
        lambda: battles.send(turn.battle, "And now?", uuid4(), "g"),
        lambda: battles.retry(turn.battle, "a", "g"),
    ):
        with pytest.raises(Refused):
            await sync_to_async(verb)()


@pytest.mark.parametrize("ending", [END, GenerationFailed("truncated", after_text=True)])
async def test_the_last_words_are_judged_however_a_side_ends(ending: object) -> None:
    played = await play(await begin(), ScriptedDispatcher([HONEST, INSTRUCTS.strip(), ending], ["fine", END]))
    assert played.end("a") == "blocked"
    assert played.text("a") == ""


async def test_also_when_the_person_stops_it() -> None:
    def press(run: TurnRun) -> None:
        if run.released:
            run.stop(set(run.sides))

    played = await play(
        await begin(), ScriptedDispatcher(["First, mix the two. Fill the pipe bomb", 30.0], ["b", 30.0]), press
    )
    assert (played.end("a"), played.end("b")) == ("blocked", "stopped")
    assert played.battle.void_reason == VoidReason.MODERATED


async def test_both_sides_can_be_cut() -> None:
    turn = await begin()
    played = await play(turn, ScriptedDispatcher([INSTRUCTS * 2, 30.0], [HONEST + INSTRUCTS, 30.0]))
    assert (played.end("a"), played.end("b")) == ("blocked", "blocked")
    assert await ModerationRecord.objects.acount() == 2


async def test_after_the_reveal_only_that_turns_side_is_withheld() -> None:
    turn = await begin()
    await play(turn, ScriptedDispatcher(["x", END], ["y", END]))
    await sync_to_async(votes.cast_vote)(turn.battle_id, "a", 1)
    battle = await Battle.objects.select_related("visitor").aget(pk=turn.battle_id)
    later = await sync_to_async(battles.send)(battle, "And now?", uuid4(), "g")
    played = await play(later, ScriptedDispatcher([INSTRUCTS, HONEST, END], ["fine", END]))
    assert (played.end("a"), played.end("b")) == ("blocked", "done")
    assert played.battle.state == BattleState.VOTED
    with pytest.raises(Refused, match="withheld"):  # or the withheld text would be sent to a model
        await sync_to_async(battles.send)(battle, "Go on", uuid4(), "g")


async def test_a_new_attempt_is_judged_anew() -> None:
    turn = await begin()
    await sync_to_async(turns.claim)(turn.id, "died in mid-sentence")
    await Turn.objects.filter(pk=turn.pk).aupdate(lease_until=turn.created_at)
    played = await play(turn, ScriptedDispatcher([HONEST, END], [INSTRUCTS, HONEST, END]))
    assert ("reset", {"side": "b", "attempt": 2}) in played.told
    assert (played.end("a"), played.end("b")) == ("done", "blocked")


async def test_a_lost_stream_is_told_again_without_the_text() -> None:
    snapshots: list[object] = []

    def look(run: TurnRun) -> None:
        if run.sides["a"].blocked:  # type: ignore[index]
            snapshots.append(run.snapshot())

    turn = await begin()
    await play(turn, ScriptedDispatcher([HONEST, 0.1, INSTRUCTS, HONEST], ["y", 0.2, END]), look)
    told = await sync_to_async(replay.finished)(turn.id)
    assert snapshots and "honest" not in str(snapshots) and "bomb" not in str(snapshots)
    assert "honest" not in str(told) and "bomb" not in str(told)
    assert ("side", {"side": "a", "attempt": 1, "state": "blocked"}) in told


@pytest.mark.usefixtures("valkey")
def test_a_battle_voided_meanwhile_keeps_its_reason() -> None:
    turn = factories.started()
    battles.void(turn.battle, VoidReason.FLAGGED)
    cut = factories.outcome("Then fill the pipe bomb.", finish_reason="blocked")
    assert factories.finish(turn, a=cut).void_reason == VoidReason.FLAGGED
