"""A moderator's word on whole battles: human records on every message of both sides, verdicts, and the audit trail."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from arena import audit
from arena.errors import Refused
from arena.models import Battle, Message, ModerationRecord
from arena.models.moderation import Standing
from arena.moderation import verdicts

REASON_MAX = 1000


@transaction.atomic
def pass_battles(battles: Iterable[Battle], moderator: User, reason: str = "") -> int:
    """Pass every message of these battles as they read now; returns how many battles."""
    chosen = list(battles)
    for battle in chosen:
        _write(battle, moderator, Standing.HUMAN_PASSED, "pass", reason.strip()[:REASON_MAX])
    return len(chosen)


@transaction.atomic
def block_battle(battle: Battle, moderator: User, reason: str) -> None:
    """Block every message of a battle. Refused 400 without a reason."""
    if not reason.strip():
        raise Refused(400, "reason", _("Say why: the reason is kept with the record."))
    _write(battle, moderator, Standing.HUMAN_BLOCKED, "block", reason.strip()[:REASON_MAX])


def _write(battle: Battle, moderator: User, standing: Standing, action: str, reason: str) -> None:
    sides = [battle.conversation_a_id, battle.conversation_b_id]
    policy = verdicts.current_policy()
    ModerationRecord.objects.bulk_create(
        ModerationRecord(
            message=message,
            text_sha256=verdicts.text_sha256(message.text),
            backend=verdicts.HUMAN,
            policy=policy,
            standing=standing,
            moderator=moderator,
            reason=reason,
        )
        for message in Message.objects.filter(conversation__in=sides)
    )
    verdicts.settle(sides)
    audit.record(moderator, action, battle, after={"standing": standing}, reason=reason)
