"""What the site forgets by itself, once a day, in bounded batches. docs/operating.md tells the same; a test compares them.

Every rule can be run again at any time and finds only what is left. What is never deleted here: battles with their votes and
counts, releases, the audit trail, spending; and texts that were given for publication or are still in use.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from arena import audit, clock, erasure
from arena.errors import Refused
from arena.ids import uuid7_floor
from arena.models import Ban, Battle, GateBlock, Job, Report, SiteConfig, Turn, Visitor
from arena.models.battles import Origin, VoidReason
from arena.models.operations import JobState

log = logging.getLogger(__name__)
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Rule:
    """`setting` is the number of days, "" for rows that carry their own end. `batch(moment, most)` deletes what is older than
    `moment`, at most `most` rows, and returns how many."""

    name: str
    setting: str
    batch: Callable[[datetime, int], int]

    @property
    def days(self) -> int:
        return int(getattr(settings, self.setting.removeprefix("AGON_"))) if self.setting else 0


def run() -> dict[str, int]:
    """Apply every rule; returns how many rows each took. One that fails is logged and does not hold up the others."""
    taken = {rule.name: _apply(rule) for rule in RULES}
    if any(taken.values()):
        audit.record(None, "retention", SiteConfig.current(), after={name: n for name, n in taken.items() if n})
    log.info("retention: %s", ", ".join(f"{name} {n}" for name, n in taken.items()))
    return taken


def _apply(rule: Rule) -> int:
    moment, total = clock.now() - timedelta(days=rule.days), 0
    try:
        for _ in range(settings.RETENTION_BATCHES):
            taken = rule.batch(moment, settings.RETENTION_BATCH)
            total += taken
            if taken < settings.RETENTION_BATCH:
                break
    except Exception:
        log.exception("the retention rule %s stopped after %d rows", rule.name, total)
    return total


def _blocked_prompts(moment: datetime, most: int) -> int:
    """With their appeals; one that is open, or was decided lately, keeps its prompt."""
    done = Q(appeal__isnull=True) | (~Q(appeal__decision="") & Q(appeal__decided_at__lt=moment))
    return _delete(GateBlock.objects.filter(done, created_at__lt=moment), most)


def _report_texts(moment: datetime, most: int) -> int:
    """What people wrote in reports that were decided; that they reported, and the decision, stays."""
    decided = Report.objects.exclude(decision="").filter(decided_at__lt=moment).exclude(text="")
    return _batch(decided, most).update(text="")


def _address_hashes(moment: datetime, most: int) -> int:
    return _batch(Turn.objects.filter(pk__lt=uuid7_floor(moment)).exclude(group=""), most).update(group="")


def _abandoned_texts(moment: datetime, most: int) -> int:
    """Battles that nobody voted on and nobody gave for publication; one that is in use, or reported and not decided, waits."""
    left = Battle.objects.filter(origin=Origin.LIVE, void_reason=VoidReason.ABANDONED, created_at__lt=moment)
    reported = Exists(Report.objects.filter(reply__turn__battle=OuterRef("pk"), decision=""))
    kept = left.filter(~reported, conversation_a__erased_at__isnull=True).exclude(consent__publish=True)
    return sum(_erased(battle) for battle in kept.order_by("created_at")[:most])


def _erased(battle: Battle) -> bool:
    try:
        erasure.erase_battle(battle)
    except Refused:
        return False
    return True


def _idle_visitors(moment: datetime, most: int) -> int:
    """Browsers that looked around and never came back. A ban that holds keeps its visitor."""
    mine = {"visitor": OuterRef("pk")}
    nothing_said = ~Exists(Battle.objects.filter(**mine)) & ~Exists(Ban.objects.live().filter(**mine))
    idle = Visitor.objects.filter(nothing_said, last_seen_at__lt=moment)
    with transaction.atomic():
        locked = list(idle.select_for_update(skip_locked=True).values_list("pk", flat=True)[:most])
        Visitor.objects.filter(pk__in=locked).delete()
    return len(locked)


def _sessions(moment: datetime, most: int) -> int:
    return _delete(Session.objects.filter(expire_date__lt=moment), most)


def _jobs(moment: datetime, most: int) -> int:
    ended = Job.objects.filter(state__in=[JobState.DONE, JobState.FAILED], finished_at__lt=moment)
    return _delete(ended, most)


def _batch(rows: QuerySet[Row], most: int) -> QuerySet[Row]:
    """At most so many of these rows, whatever they are."""
    return rows.model._base_manager.filter(pk__in=list(rows.values_list("pk", flat=True)[:most]))


def _delete(rows: QuerySet[Row], most: int) -> int:
    """Returns how many of the rows themselves went; what hangs on them is not counted."""
    chosen = _batch(rows, most)
    return chosen.delete()[1].get(chosen.model._meta.label, 0)


RULES: tuple[Rule, ...] = (
    Rule("blocked prompts", "AGON_KEEP_BLOCKED_DAYS", _blocked_prompts),
    Rule("texts of decided reports", "AGON_KEEP_REPORTS_DAYS", _report_texts),
    Rule("hashes of addresses", "AGON_KEEP_GROUPS_DAYS", _address_hashes),
    Rule("texts of abandoned battles", "AGON_KEEP_ABANDONED_DAYS", _abandoned_texts),
    Rule("idle visitors", "AGON_KEEP_VISITORS_DAYS", _idle_visitors),
    Rule("expired sign-ins", "", _sessions),
    Rule("finished jobs", "AGON_KEEP_JOBS_DAYS", _jobs),
)
