"""Deciding what people complained about: reports of answers, appeals against blocked prompts. Each is decided once."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from arena import audit, clock
from arena.errors import Refused
from arena.models import Appeal, Report
from arena.models.moderation import Decision
from arena.moderation import decisions

NOTE_MAX = 1000  # characters; the column's bound


@transaction.atomic
def decide(complaint: Report | Appeal, moderator: User, decision: str, note: str, *, block: bool = False) -> None:
    """Write a moderator's decision; `block` also blocks the reported battle's conversations, with the note as the reason.

    Refused 409 when a colleague was first (who and when), 410 when the complaint is gone; 400 for an unknown decision, for
    blocking without upholding a report, and for a block or an answer to an appeal without a note.
    """
    note = note.strip()[:NOTE_MAX]
    _check(complaint, decision, note, block)
    open_still = type(complaint).objects.filter(pk=complaint.pk, decision="")
    if not open_still.update(decision=decision, decided_by=moderator, decided_at=clock.now(), note=note):
        raise _decided_before(complaint)
    after = {"decision": decision, "note": note} | ({"blocked": True} if block else {})
    audit.record(moderator, "decide", complaint, {"decision": ""}, after, reason=note)
    if block and isinstance(complaint, Report):
        decisions.block_battle(complaint.reply.turn.battle, moderator, note)


def _check(complaint: Report | Appeal, decision: str, note: str, block: bool) -> None:
    if decision not in Decision.values:
        raise Refused(400, "decision", _("Choose whether to act on it or not."))
    if block and not (isinstance(complaint, Report) and decision == Decision.UPHELD):
        raise Refused(400, "block", _("Only an upheld report blocks a conversation."))
    if not note and (block or isinstance(complaint, Appeal)):
        raise Refused(400, "reason", _("Say why: the person reads it, and it is kept in the audit trail."))


def _decided_before(complaint: Report | Appeal) -> Refused:
    """What a colleague decided meanwhile, in words."""
    now = type(complaint).objects.select_related("decided_by").filter(pk=complaint.pk).first()
    if now is None:
        return Refused(410, "deleted", _("This was deleted by the person it belongs to."))
    words = _("%(who)s decided this at %(time)s: %(decision)s.") % {
        "who": now.decided_by.get_username() if now.decided_by else _("A former colleague"),
        "time": date_format(localtime(now.decided_at), "Y-m-d H:i"),
        "decision": now.get_decision_display(),
    }
    return Refused(409, "decided", words)
