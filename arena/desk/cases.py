"""What a case's page needs, and what its buttons do, for each kind of case."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404

from arena import complaints
from arena.casefile import CaseFile
from arena.desk import deciding
from arena.desk.listing import neighbours
from arena.desk.queues import Filters, Queue, consented
from arena.models import Appeal, Battle, GateBlock, Report
from arena.models.moderation import Decision

RELATED = ("conversation_a", "conversation_b", "consent", "visitor")
ACT, ACT_AND_BLOCK, LEAVE = "act", "act_and_block", "leave"


def find(queue: Queue, pk: UUID) -> Any:
    """The case's row, decided or not. Raises Http404."""
    if queue.kind == "battle":
        return get_object_or_404(Battle.objects.select_related(*RELATED), pk=pk)
    if queue.kind == "report":
        battle = [f"reply__turn__battle__{name}" for name in RELATED]
        return get_object_or_404(Report.objects.select_related(*battle, "decided_by"), pk=pk)
    if queue.kind == "appeal":
        return get_object_or_404(Appeal.objects.select_related("block", "decided_by"), pk=pk)
    return get_object_or_404(GateBlock.objects.select_related("appeal"), pk=pk)


def context(queue: Queue, filters: Filters, case: Any) -> dict[str, Any]:
    """The page's context; `seen` is what a decision will be held against."""
    before, after = neighbours(queue, filters, case.pk)
    found: dict[str, Any] = {"queue": queue, "filters": filters, "case": case, "before": before, "after": after}
    if queue.kind in ("battle", "report"):
        battle = case if queue.kind == "battle" else case.reply.turn.battle
        found |= {
            "battle": battle,
            "file": CaseFile(battle, may_read=True),
            "seen": deciding.marks([battle])[battle.pk],
        }
        found["consented"] = consented(battle)
    else:
        found["stopped"] = case.block if queue.kind == "appeal" else case
    return found


def decide(queue: Queue, case: Any, moderator: User, verdict: str, reason: str, seen: str) -> None:
    """What the pressed button says. Raises Refused as `deciding.decide` and `complaints.decide` do."""
    if queue.kind == "battle":
        deciding.decide(case, moderator, verdict, reason, seen)
        return
    said = {ACT: Decision.UPHELD, ACT_AND_BLOCK: Decision.UPHELD, LEAVE: Decision.DISMISSED}
    complaints.decide(case, moderator, said.get(verdict, ""), reason, block=verdict == ACT_AND_BLOCK)
