"""A battle whose first turn failed before anything was seen is replaced, once and not for ever."""

import pytest

from arena import battles
from arena.errors import Refused
from arena.models import Battle
from arena.models.battles import BattleState, VoidReason
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def code(refusal: pytest.ExceptionInfo[Refused]) -> tuple[int, str]:
    return refusal.value.status, refusal.value.code


def test_replace_voids_the_battle_and_draws_without_the_failed_contestant() -> None:
    factories.ring(4)
    turn = factories.started()
    failed = turn.battle.revision_a.contestant
    assert battles.replace(turn.battle_id, [failed.id])
    old = Battle.objects.get(pk=turn.battle_id)
    assert (old.state, old.void_reason) == (BattleState.VOID, VoidReason.ERROR)
    new = old.successor
    assert new.state == BattleState.STREAMING
    assert failed.id not in (new.revision_a.contestant_id, new.revision_b.contestant_id)
    assert new.probability == pytest.approx(1 / 3)  # of the three pairs without it
    assert new.turns.get().prompt.text == turn.prompt.text


def test_a_battle_is_replaced_once_though_its_worker_died_in_between() -> None:
    factories.ring(4)
    turn = factories.started()
    assert battles.replace(turn.battle_id, [turn.battle.revision_a.contestant_id])
    assert battles.replace(turn.battle_id, [turn.battle.revision_b.contestant_id])  # the next worker fails too
    assert Battle.objects.count() == 2


def test_a_battle_that_is_void_meanwhile_gets_no_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ring(4)
    turn = factories.started()
    monkeypatch.setattr(battles, "void", lambda *_, **__: False)  # somebody else was faster
    assert not battles.replace(turn.battle_id, [])
    assert Battle.objects.count() == 1


def test_replacements_end(settings: pytest.FixtureRequest) -> None:
    settings.OPEN_TURNS_PER_VISITOR = 10
    factories.ring(8)
    battle = factories.started().battle
    for _ in range(battles.MAX_CHAIN - 1):
        assert battles.replace(battle.pk, [])
        battle = Battle.objects.get(predecessor=battle)
    assert not battles.replace(battle.pk, [])
    battle.refresh_from_db()
    assert battle.state == BattleState.STREAMING


def test_replace_with_nobody_left_changes_nothing() -> None:
    turn = factories.started()
    assert not battles.replace(turn.battle_id, [turn.battle.revision_a.contestant_id])
    assert Battle.objects.get().state == BattleState.STREAMING
