"""What keeps a battle in besides its texts: its state, its vote, reports, codenames; and how the gate asks."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from arena import clock
from arena.models import Battle, Contestant, Message, Reply, Report, VoteEvent
from arena.moderation import policy, verdicts
from datasets import gate, rules
from datasets.reasons import ADMITTED, Drop
from tests.datasets import rows
from tests.datasets.gating import first, reason

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def _demo(battle: Battle) -> None:
    Battle.objects.filter(pk=battle.pk).update(origin="demo")


def _imported(battle: Battle) -> None:
    Battle.objects.filter(pk=battle.pk).update(origin="import:elsewhere")


def _void(reason: str) -> Callable[[Battle], None]:
    return lambda battle: Battle.objects.filter(pk=battle.pk).update(state="void", void_reason=reason) and None


def _state(state: str) -> Callable[[Battle], None]:
    return lambda battle: Battle.objects.filter(pk=battle.pk).update(state=state) and None


def _open_turn(battle: Battle) -> None:
    battle.turns.update(state="queued")


def _failed_side(battle: Battle) -> None:
    reply = Reply.objects.filter(turn__battle=battle).first()
    assert reply is not None and reply.message is not None
    message, reply.message = reply.message, None
    reply.state, reply.finish_reason = "failed", ""
    reply.save()
    message.delete()


def _lost_message(battle: Battle) -> None:
    """A prompt that one side was never told: no verb does this, and the gate does not rely on it."""
    Message.objects.filter(conversation=battle.conversation_b_id, position=0).delete()


def _cut(battle: Battle) -> None:
    Reply.objects.filter(turn__battle=battle, side="b").update(finish_reason="blocked")


def _codename(battle: Battle) -> None:
    hidden = {"visibility": "anonymous", "codename": "Olive", "anonymous_until": clock.now() + timedelta(days=9)}
    Contestant.objects.filter(pk=battle.revision_b.contestant_id).update(**hidden)


def _vote_voided(battle: Battle) -> None:
    a, b = battle.revision_a.contestant, battle.revision_b.contestant
    VoteEvent.objects.create(kind="void", vote=battle.vote, contestant_a=a, contestant_b=b, choice="a")


def _reported(battle: Battle) -> None:
    Report.objects.create(reply=Reply.objects.filter(turn__battle=battle).first(), reason="personal")


def _empty(battle: Battle) -> None:
    message = first(battle)
    Message.objects.filter(pk=message.pk).update(text=" \n ")
    message.refresh_from_db()
    rows.look(message)
    rows.enrich(message)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_demo, Drop.DEMO),
        (_imported, Drop.IMPORTED),
        (_state("ready"), Drop.OPEN),
        (_state("streaming"), Drop.OPEN),
        (_state("failed"), Drop.OPEN),
        (_open_turn, Drop.OPEN),
        *[(_void(reason), Drop.VOID) for reason in ("error", "moderated", "timeout", "flagged")],
        (_failed_side, Drop.INCOMPLETE),
        (_lost_message, Drop.INCOMPLETE),
        (_cut, Drop.CUT),
        (_codename, Drop.CODENAME),
        (_vote_voided, Drop.VOTE_VOIDED),
        (_reported, Drop.REPORTED),
        (_empty, Drop.EMPTY),
    ],
)
def test_what_keeps_a_battle_in(spoil: Callable[[Battle], None], why: Drop) -> None:
    battle = rows.releasable()
    assert reason(battle) == ADMITTED
    spoil(battle)
    assert reason(battle) == why


def test_a_decided_report_holds_nothing_back() -> None:
    battle = rows.releasable()
    _reported(battle)
    moderator = User.objects.create(username="m")
    Report.objects.update(decision="dismissed", decided_by=moderator, decided_at=clock.now())
    assert reason(battle) == ADMITTED


def test_an_unencodable_text_stays_in() -> None:
    """PostgreSQL refuses NUL and surrogates, so only the rule itself can be asked."""
    case = rules.Case(rows.releasable(), "1")
    case.messages[case.battle.conversation_a_id] = [Message(text="a\ud800")]
    assert dict(rules.ON_TEXT)[Drop.UNREADABLE](case)
    case.messages[case.battle.conversation_a_id] = [Message(text="a\x00")]
    assert dict(rules.ON_TEXT)[Drop.UNREADABLE](case)


def test_a_broken_policy_closes_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise policy.PolicyError("policy.toml: broken")

    battle = rows.releasable()
    monkeypatch.setattr(verdicts, "current_policy", broken)
    with pytest.raises(policy.PolicyError):
        gate.admit([battle.pk])


def test_batches_are_bounded_and_cost_a_fixed_number_of_queries(django_assert_max_num_queries) -> None:
    made = [rows.releasable() for _ in range(5)]
    with django_assert_max_num_queries(9):
        assert {d.reason for d in gate.admit([battle.pk for battle in made])} == {ADMITTED}
    with pytest.raises(ValueError, match="at most"):
        gate.admit([made[0].pk] * (gate.BATCH_MOST + 1))


def test_18_no_other_module_of_releases_reads_texts() -> None:
    folder = Path(gate.__file__).parent
    reads = {
        path.name for path in folder.rglob("*.py") if "Message" in path.read_text().replace("ModerationRecord", "")
    }
    assert reads <= {"gate.py", "rules.py"}


def test_a_codename_whose_day_has_come_holds_nothing_back() -> None:
    battle = rows.releasable()
    _codename(battle)
    Contestant.objects.update(anonymous_until=clock.now() - timedelta(days=1))
    assert reason(battle) == ADMITTED
