"""A moderator's word on whole battles: human records on every message of both sides, verdicts, and the audit trail.

The battle's row is held while its messages are judged, so none can be added between reading and passing.
"""

from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from arena import audit
from arena.errors import Refused
from arena.models import Battle, Message, ModerationRecord
from arena.models.battles import BattleState, TurnState
from arena.models.moderation import Standing
from arena.moderation import verdicts

REASON_MAX = 1000
MOST = 500  # battles of one call, which is one transaction


@transaction.atomic
def pass_battles(
    battles: Iterable[Battle | UUID],
    moderator: User | None,
    reason: str = "",
) -> int:
    """Pass every message of these battles as they read now, all or none; returns how many battles.

    Refused 409 while answers are being written, 400 for more than MOST, 410 when one is gone. Whether a colleague was first is
    asked by the pages that people decide on (`arena/desk/deciding.py`), under the same lock.
    """
    chosen = lock(battles)
    for battle in chosen:
        if battle.state == BattleState.STREAMING or battle.turns.exclude(state=TurnState.DONE).exists():
            raise Refused(
                409, "writing", _("Answers are still being written. Pass the conversation when they are complete.")
            )
    for battle in chosen:
        _write(battle, moderator, Standing.HUMAN_PASSED, "pass", reason)
    return len(chosen)


@transaction.atomic
def block_battle(
    battle: Battle | UUID,
    moderator: User | None,
    reason: str,
    category: str = "",
) -> None:
    """Block every message of a battle, also while more are being written: the block of one holds for the whole conversation.

    Refused 400 without a reason, 410 when it is gone.
    """
    if not reason.strip():
        raise Refused(400, "reason", _("Say why: the reason is kept with the record."))
    (held,) = lock([battle])
    _write(held, moderator, Standing.HUMAN_BLOCKED, "block", reason, [category] if category else [])


def lock(battles: Iterable[Battle | UUID]) -> list[Battle]:
    """Hold these battles' rows until the transaction ends, in one order; whoever adds messages waits."""
    wanted = {one.pk if isinstance(one, Battle) else one for one in battles}
    if len(wanted) > MOST:
        raise Refused(400, "bulk", _("Choose at most %(most)d conversations.") % {"most": MOST})
    held = list(Battle.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=wanted).order_by("pk"))
    if len(held) < len(wanted):
        raise Refused(410, "deleted", _("This battle no longer exists."))
    return held


def newest(battle: Battle) -> ModerationRecord | None:
    """The newest word of a moderator on any of a battle's messages."""
    sides = [battle.conversation_a_id, battle.conversation_b_id]
    said = ModerationRecord.objects.filter(backend=verdicts.HUMAN, message__conversation__in=sides)
    return said.select_related("moderator").order_by("-created_at", "-pk").first()


def _write(
    battle: Battle,
    moderator: User | None,
    standing: Standing,
    action: str,
    reason: str,
    categories: list[str] | None = None,
) -> None:
    sides, policy, reason = (
        [battle.conversation_a_id, battle.conversation_b_id],
        verdicts.current_policy(),
        reason.strip(),
    )
    ModerationRecord.objects.bulk_create(
        ModerationRecord(
            message=message,
            text_sha256=verdicts.text_sha256(message.text),
            backend=verdicts.HUMAN,
            policy=policy,
            standing=standing,
            categories=categories or [],
            moderator=moderator,
            reason=reason[:REASON_MAX],
        )
        for message in Message.objects.filter(conversation__in=sides).defer("html")
    )
    verdicts.settle(sides)
    audit.record(moderator, action, battle, after={"standing": standing}, reason=reason[:REASON_MAX])
