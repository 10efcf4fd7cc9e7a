"""Deleting what a person wrote and was told, for good: every stored text and every link between it and the person.

What stays says nothing about anybody: battles, replies and votes with their counts and timings, which the ranking and the
failure rates are computed from. Each verb is one transaction, so that a crash leaves all or nothing, and it takes the rows
that others write: a turn that ends meanwhile either commits before us, and its texts go, or finds its lease gone
(`turns.LeaseLost`) and writes nothing. docs/privacy.md says what this cannot reach: backups, and releases that are out.
"""

import time
from collections.abc import Callable
from uuid import UUID

from django.contrib.postgres.functions import RandomUUID
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from arena import clock
from arena.errors import Refused
from arena.generation.control import forget_streams, tell_stop
from arena.models import (
    Appeal,
    Battle,
    Conversation,
    Enrichment,
    GateBlock,
    Message,
    ModerationRecord,
    Reply,
    Report,
    Side,
    Turn,
    Visitor,
    Vote,
)
from arena.models.battles import BattleState, ReplyState, TurnState, VoidReason

ERASED = "erased"  # the error of a reply that was being written
ATTEMPTS = 5
PAUSE_S = 0.2
LOCK_WAIT_MS = 500  # less than PostgreSQL's deadlock_timeout: of two that wait for each other, we give way
BUSY = {"55P03", "40P01"}  # lock not available, deadlock


def erase(visitor: Visitor) -> int:
    """Delete a visitor with everything said; returns how many battles lost their texts.

    Refused 503 when its rows stay busy: nothing was deleted then. Erasing twice is erasing once.
    """
    return _patiently(lambda: _erase_visitor(visitor.pk))


def erase_battle(battle: Battle) -> None:
    """Delete the texts of one battle and cut it loose from its visitor, who stays. Refused 503 as above."""
    _patiently(lambda: _erase_battles(Battle.objects.filter(pk=battle.pk)))


def _erase_visitor(visitor_id: UUID) -> int:
    visitor = Visitor.objects.select_for_update().filter(pk=visitor_id).first()
    if visitor is None:
        return 0
    battles = _erase_battles(Battle.objects.filter(visitor=visitor))
    _erase_texts(set(visitor.conversations.values_list("pk", flat=True)))  # any that belong to no battle
    Report.objects.filter(visitor=visitor).update(visitor=None, text="", note="")
    Appeal.objects.filter(block__visitor=visitor).update(text="", note="")
    GateBlock.objects.filter(visitor=visitor).update(visitor=None, prompt="")
    visitor.delete()  # with consents, bans and the recovery code
    return battles


def _erase_battles(battles: QuerySet[Battle]) -> int:
    """Inside the caller's transaction; returns how many."""
    turns = _locked(battles)
    battle_ids = {turn.battle_id for turn in turns}
    _erase_texts({turn.battle.conversation_id(side) for turn in turns for side in Side})
    _close([turn.pk for turn in turns if turn.state != TurnState.DONE])
    Turn.objects.filter(battle__in=battle_ids).update(visitor=None, group="", key=RandomUUID())
    Report.objects.filter(reply__turn__battle__in=battle_ids).update(text="", note="")
    Vote.objects.filter(battle__in=battle_ids).update(visitor=None)
    rows = Battle.objects.filter(pk__in=battle_ids)
    rows.filter(state__in=[BattleState.STREAMING, BattleState.FAILED, BattleState.READY]).update(
        state=BattleState.VOID, void_reason=VoidReason.ERASED, expires_at=None
    )
    rows.update(visitor=None, consent=None, share_token=None)
    turn_ids = [turn.pk for turn in turns]
    transaction.on_commit(lambda: forget_streams(turn_ids))
    return len(battle_ids)


def _locked(battles: QuerySet[Battle]) -> list[Turn]:
    """Every turn of the battles; turns and battles are locked as `turns.finish` locks them, in its order."""
    locking = Turn.objects.select_for_update(of=("self", "battle"), no_key=True).select_related("battle")
    wanted = locking.filter(battle__in=battles).order_by("pk")
    list(wanted)  # whoever held a battle before us may have opened a turn in it, which only a second look sees
    return list(wanted.all())


def _erase_texts(conversation_ids: set[UUID]) -> None:
    """Texts first: whoever looks at one holds its message, so that afterwards all that was found in it can be seen."""
    messages = Message.objects.filter(conversation__in=conversation_ids)
    messages.update(text="", html="")
    Enrichment.objects.filter(message__in=messages).delete()  # hashes and spans of the text
    ModerationRecord.objects.filter(message__in=messages).delete()
    Conversation.objects.filter(pk__in=conversation_ids).update(visitor=None, erased_at=clock.now())


def _close(turn_ids: list[UUID]) -> None:
    """End turns that are being written: the lease goes, so nothing comes back, and their workers are told to stop."""
    moment = clock.now()
    unfinished = Reply.objects.filter(turn__in=turn_ids).exclude(state=ReplyState.DONE)
    unfinished.update(state=ReplyState.FAILED, error=ERASED, finished_at=moment)
    Turn.objects.filter(pk__in=turn_ids).update(
        state=TurnState.DONE, lease_owner="", lease_until=None, finished_at=moment, stop_a=True, stop_b=True
    )
    transaction.on_commit(lambda: _tell_workers(turn_ids))


def _tell_workers(turn_ids: list[UUID]) -> None:
    for turn_id in turn_ids:
        tell_stop(turn_id, Side)


def _patiently(work: Callable[[], int]) -> int:
    """Run `work` in a transaction; when others hold its rows, let go of everything and try again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [str(LOCK_WAIT_MS)])
                return work()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in BUSY:
                raise
            time.sleep(PAUSE_S * attempt)
    raise Refused(
        503, "busy", _("Your data is in use at this moment, and nothing was deleted. Please try again."), retry_after=5
    )
