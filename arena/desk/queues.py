"""The desk's queues: what waits, how much of it, since when. A queue is a QuerySet; nothing here writes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from arena import clock
from arena.models import (
    Appeal,
    AuditEntry,
    Battle,
    Consent,
    Conversation,
    Enrichment,
    GateBlock,
    ModerationRecord,
    Report,
)
from arena.models.battles import BattleState, Origin
from arena.models.conversations import Verdict

COUNT_MOST = 1000  # larger queues are "1000+": an exact number would cost a scan and help nobody
DECISIONS = ("pass", "block", "decide")  # actions of the trail that clear a case


@dataclass(frozen=True)
class Filters:
    """What a moderator narrowed a queue of battles to; kept in the address."""

    language: str = ""
    category: str = ""
    consented: bool = False

    @classmethod
    def of(cls, query: QueryDict) -> "Filters":
        return cls(query.get("language", "")[:16], query.get("category", "")[:80], query.get("consented") == "1")

    @property
    def query(self) -> str:
        """For links: "" or "?language=de&..."."""
        chosen = {"language": self.language, "category": self.category, "consented": "1" if self.consented else ""}
        return "?" + urlencode({name: value for name, value in chosen.items() if value}) if any(chosen.values()) else ""

    def apply(self, battles: QuerySet[Battle]) -> QuerySet[Battle]:
        if self.consented:
            battles = battles.filter(Q(consented=True))
        if self.language:
            battles = battles.filter(Exists(_theirs(Enrichment).filter(language=self.language)))
        if self.category:
            battles = battles.filter(Exists(_theirs(ModerationRecord).filter(categories__contains=[self.category])))
        return battles


def _theirs(model: Any) -> QuerySet[Any]:
    """Rows about the messages of either side of the outer battle."""
    of = Q(message__conversation=OuterRef("conversation_a")) | Q(message__conversation=OuterRef("conversation_b"))
    return model.objects.filter(of)


def _judged(*verdicts: Verdict) -> QuerySet[Any]:
    """Ids of battles with a side of these verdicts, found through the verdicts' index, however many battles there are."""
    sides = Conversation.objects.filter(verdict__in=verdicts, erased_at__isnull=True)
    of_a = sides.filter(battle_as_a__isnull=False).values("battle_as_a")
    return of_a.union(sides.filter(battle_as_b__isnull=False).values("battle_as_b"))


def _battles(ids: QuerySet[Any]) -> QuerySet[Battle]:
    """Live battles that are not being written, with `consented` (began under consent to publish that still holds)."""
    refused = Consent.objects.filter(
        visitor=OuterRef("visitor"), publish=False, created_at__gte=OuterRef("consent__created_at")
    )
    live = Battle.objects.filter(pk__in=ids, origin=Origin.LIVE, successor__isnull=True)
    # later words are looked up only for battles that began under consent to publish: most backlogs have few of those
    still = Case(When(consent__publish=True, then=~Exists(refused)), default=False)
    return live.exclude(state=BattleState.STREAMING).annotate(consented=still)


def consented(battle: Battle) -> bool:
    """The same of one battle at hand. As for the gate of releases, a later yes brings nothing back that a no took away."""
    if battle.consent is None or not battle.consent.publish or battle.visitor_id is None:
        return False
    said = Consent.objects.filter(visitor=battle.visitor_id, created_at__gte=battle.consent.created_at)
    return not said.filter(publish=False).exists()


def flagged() -> QuerySet[Battle]:
    """Battles with a flagged side that no moderator has blocked, oldest first."""
    return _battles(_judged(Verdict.FLAGGED)).exclude(pk__in=_judged(Verdict.BLOCKED)).order_by("created_at", "pk")


def waiting() -> QuerySet[Battle]:
    """Battles with a side that waits for a verdict and none that is flagged or blocked; those that may be published first."""
    other = _judged(Verdict.FLAGGED, Verdict.BLOCKED)
    return _battles(_judged(Verdict.PENDING)).exclude(pk__in=other).order_by(F("consented").desc(), "created_at", "pk")


def blocked() -> QuerySet[GateBlock]:
    """Prompts that reached no model, newest first (ids are in order of time). Only an appeal asks for a decision."""
    return GateBlock.objects.select_related("appeal").order_by("-pk")


@dataclass(frozen=True)
class Queue:
    """One of the desk's queues. `kind` decides which page shows a case of it."""

    slug: str
    title: Promise
    about: Promise
    kind: str  # report, appeal, battle or block
    rows: Callable[[], QuerySet[Any]]

    @property
    def count(self) -> int:
        """At most COUNT_MOST + 1."""
        return self.rows().order_by()[: COUNT_MOST + 1].count()

    @property
    def oldest(self) -> datetime | None:
        return self.rows().order_by("created_at").values_list("created_at", flat=True).first()


QUEUES = {
    queue.slug: queue
    for queue in (
        Queue("reports", _("Reports"), _("Answers that somebody reported"), "report", lambda: Report.objects.open()),
        Queue("appeals", _("Appeals"), _("Blocks that somebody calls wrong"), "appeal", lambda: Appeal.objects.open()),
        Queue("flagged", _("Flagged"), _("Conversations that a rule or a backend flagged"), "battle", flagged),
        Queue("waiting", _("Waiting"), _("Conversations without a verdict"), "battle", waiting),
        Queue("blocked", _("Blocked prompts"), _("What the gate kept from the models"), "block", blocked),
    )
}


@dataclass(frozen=True)
class Figures:
    """The desk at a glance. `blocked` prompts need no decision and are not in the backlog."""

    queues: list[tuple[Queue, int, datetime | None]]
    decided_today: int

    @property
    def backlog(self) -> int:
        return sum(count for queue, count, _oldest in self.queues if queue.kind != "block")

    @property
    def more(self) -> bool:
        """A queue was longer than is counted."""
        return any(count > COUNT_MOST for _queue, count, _oldest in self.queues)

    @property
    def oldest(self) -> datetime | None:
        return min((at for queue, _n, at in self.queues if at and queue.kind != "block"), default=None)


def figures() -> Figures:
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    today = AuditEntry.objects.filter(created_at__gte=midnight, action__in=DECISIONS)
    return Figures([(queue, queue.count, queue.oldest) for queue in QUEUES.values()], today.count())
