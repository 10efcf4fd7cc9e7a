"""One page of a queue, with what a moderator needs to choose from it. A fixed number of queries, however many rows."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

from arena.desk import deciding, queues
from arena.desk.queues import Filters, Queue
from arena.models import Battle, Enrichment, Message, ModerationRecord, Report, Turn
from arena.models.moderation import Standing
from arena.moderation import verdicts

SNIPPET = 240  # characters of a prompt in a list
NEIGHBOURS = 500  # how far into a queue "next" and "previous" can see


@dataclass
class Row:
    """One case of a list."""

    case: Any  # the Battle, Report, Appeal or GateBlock
    battle: Battle | None = None
    prompt: str = ""
    turns: int = 0
    languages: set[str] = field(default_factory=set)
    categories: set[str] = field(default_factory=set)
    personal: bool = False
    reports: int = 0
    mark: str = ""

    @property
    def severe(self) -> bool:
        return bool(deciding.SEVERE & self.categories)

    @property
    def more(self) -> bool:
        """The prompt is longer than it is shown."""
        return len(self.prompt) > SNIPPET

    @property
    def snippet(self) -> str:
        return self.prompt[:SNIPPET]


class Counted(Paginator):
    """Counts no further than queues do: a page behind that is reached by clearing what is before it."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return rows.order_by()[: queues.COUNT_MOST].count()


def rows_of(queue: Queue, filters: Filters) -> QuerySet[Any]:
    rows = queue.rows()
    return filters.apply(rows) if queue.kind == "battle" else rows


def page_of(queue: Queue, filters: Filters, number: str | None) -> tuple[Page[Any], list[Row]]:
    """The page's cases, and rows that tell about them."""
    related = {
        "report": ("reply__turn__battle", "visitor"),
        "appeal": ("block",),
        "block": ("appeal",),
        "battle": (),
    }[queue.kind]
    found = rows_of(queue, filters).select_related(*related) if related else rows_of(queue, filters)
    page = Counted(found, settings.DESK_PAGE).get_page(number)
    rows = [_row(queue, case) for case in page.object_list]
    _tell([row for row in rows if row.battle is not None])
    return page, rows


def _row(queue: Queue, case: Any) -> Row:
    if queue.kind == "battle":
        return Row(case, battle=case)
    if queue.kind == "report":
        return Row(case, battle=case.reply.turn.battle)
    block = case.block if queue.kind == "appeal" else case
    return Row(case, prompt=block.prompt, categories={block.category})


def _tell(rows: Sequence[Row]) -> None:
    """Add what is known of the rows' battles."""
    of: dict[UUID, list[Row]] = defaultdict(list)
    battles = {row.battle.pk: row.battle for row in rows if row.battle}
    for row in rows:
        assert row.battle is not None
        of[row.battle.pk].append(row)
    sides = {battle.conversation_id(side): pk for pk, battle in battles.items() for side in ("a", "b")}
    marks = deciding.marks(battles.values())
    firsts = [battle.conversation_a_id for battle in battles.values()]
    prompts = dict(Message.objects.filter(conversation__in=firsts, position=0).values_list("conversation", "text"))
    for pk, battle in battles.items():
        for row in of[pk]:
            row.mark, row.prompt = marks[pk], prompts.get(battle.conversation_a_id, "")
    for pk in Turn.objects.filter(battle__in=list(battles)).values_list("battle", flat=True):
        for row in of[pk]:
            row.turns += 1
    for pk in (
        Report.objects.open()
        .filter(reply__turn__battle__in=list(battles))
        .values_list("reply__turn__battle", flat=True)
    ):
        for row in of[pk]:
            row.reports += 1
    _detected(of, sides)


def _detected(of: dict[UUID, list[Row]], sides: dict[UUID, UUID]) -> None:
    """Languages, personal data and flagged categories."""
    enrichments = Enrichment.objects.filter(message__conversation__in=list(sides))
    for conversation, language, pii in enrichments.values_list("message__conversation", "language", "pii"):
        for row in of[sides[conversation]]:
            row.languages.add(language)
            row.personal |= bool(pii)
    flags = ModerationRecord.objects.filter(message__conversation__in=list(sides)).exclude(backend=verdicts.HUMAN)
    for conversation, names in flags.filter(standing=Standing.FLAGGED).values_list(
        "message__conversation", "categories"
    ):
        for row in of[sides[conversation]]:
            row.categories.update(names)


def neighbours(queue: Queue, filters: Filters, pk: UUID) -> tuple[UUID | None, UUID | None]:
    """The cases before and after this one. One that is not in the queue (any more) is followed by the queue's first."""
    ids = list(rows_of(queue, filters).values_list("pk", flat=True)[:NEIGHBOURS])
    if pk not in ids:
        return None, (ids[0] if ids else None)
    at = ids.index(pk)
    return (ids[at - 1] if at else None), (ids[at + 1] if at + 1 < len(ids) else None)
