"""Importing labels: a file that says which votes are in which categories, for what no rule can tell (hard prompts, topics ...).

Of votes of this site: rows of VoteLabel, one set per source, which stay when rules label the vote anew. Of an import: names are
added to its votes, and its counts are made again. Either way it is one transaction, and one bad row refuses the file.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from arena import audit
from arena.audit import Actor
from arena.models import SiteConfig, VoteEvent
from arena.models.votes import EventKind
from ranking import categories, counts
from ranking.counting import labelling, tallying
from ranking.imports.files import records
from ranking.imports.importing import event_id
from ranking.imports.reading import MOST_PROBLEMS
from ranking.imports.row import BadFile, Problem
from ranking.imports.values import text
from ranking.models import JudgeCount, PairCount, VoteImport, VoteLabel

AT_ONCE = 2000  # rows in memory
SOURCE_MOST = 40
ADD = """
UPDATE arena_voteevent AS vote SET categories = ARRAY(
  SELECT DISTINCT name FROM unnest(vote.categories || string_to_array(more.names, ' ')::varchar[]) AS name ORDER BY name)
FROM unnest(%s::uuid[], %s::text[]) AS more (id, names) WHERE vote.id = more.id
"""


class Labelled(NamedTuple):
    line: int
    key: str  # of the vote: its battle's id, or the file's own id of an imported vote
    names: tuple[str, ...]


def label_site(path: Path, source: str, actor: Actor = None) -> int:
    """Label votes of this site by their battles' ids (column `battle`); returns how many votes have labels of the source now.

    Labels that the source gave these votes before are replaced. Raises BadFile.
    """
    with transaction.atomic():
        rows, votes = _rows(path, "battle", rules=False), 0
        while batch := list(islice(rows, AT_ONCE)):
            casts = _casts(batch)
            VoteLabel.objects.filter(
                source=source[:SOURCE_MOST], event__in=[cast.pk for cast in casts.values()]
            ).delete()
            VoteLabel.objects.bulk_create(
                VoteLabel(event=casts[row.key], name=name, source=source[:SOURCE_MOST])
                for row in batch
                for name in row.names
            )
            labelling.label(list(casts.values()))
            votes += len(casts)
        audit.record(actor, "import labels", SiteConfig.current(), {}, {"votes": votes, "source": source[:SOURCE_MOST]})
    return votes


def label_import(path: Path, made: VoteImport, actor: Actor = None) -> int:
    """Add categories to votes of an import by the file's own ids of them (column `vote`); returns how many. Raises BadFile."""
    with transaction.atomic():
        counts.take_lock_of_imports()
        counts.take_lock()
        rows, votes = _rows(path, "vote", rules=True), 0
        while batch := list(islice(rows, AT_ONCE)):
            ids = {event_id(made.slug, row.key): row for row in batch}
            there = set(VoteEvent.objects.filter(origin=made.origin, pk__in=ids).values_list("pk", flat=True))
            _all_there([row for pk, row in ids.items() if pk not in there], f"vote of {made.origin}")
            with connection.cursor() as cursor:
                cursor.execute(ADD, [list(ids), [" ".join(row.names) for row in ids.values()]])
            votes += len(ids)
        PairCount.objects.filter(origin=made.origin).delete()
        JudgeCount.objects.filter(origin=made.origin).delete()
        tallying.tally(made.origin)
        VoteImport.objects.filter(pk=made.pk).update(
            relabelled=F("relabelled") + 1
        )  # so that its boards are fitted again
        audit.record(actor, "import labels", made, {}, {"votes": votes})
    return votes


def _casts(batch: list[Labelled]) -> dict[str, VoteEvent]:
    asked = [row for row in batch if _uuid(row.key)]
    casts = VoteEvent.objects.filter(kind=EventKind.CAST, vote__battle__in=[row.key for row in asked])
    found = {str(cast.vote.battle_id): cast for cast in casts.select_related("vote") if cast.vote}
    named = {row.key: found[str(UUID(row.key))] for row in asked if str(UUID(row.key)) in found}
    _all_there([row for row in batch if row.key not in named], "battle with a vote")
    return named


def _all_there(missing: list[Labelled], what: str) -> None:
    if missing:
        problems = [Problem(row.line, f"there is no {what} {row.key!r}") for row in missing[:MOST_PROBLEMS]]
        raise BadFile(problems, more=len(missing) > MOST_PROBLEMS)


def _rows(path: Path, column: str, rules: bool) -> Iterator[Labelled]:
    """As reading.rows: after the first problem nothing comes, and all are told. `rules`: may rules' categories be named?"""
    problems: list[Problem] = []
    seen: set[str] = set()
    for line, record in records(path, (column, "labels")):
        found = record if isinstance(record, Problem) else _row(line, record, column, rules)
        if isinstance(found, Labelled) and found.key in seen:
            found = Problem(line, f"the {column} {found.key!r} came before")
        if isinstance(found, Problem):
            problems.append(found)
        elif not problems:
            seen.add(found.key)
            yield found
        if len(problems) >= MOST_PROBLEMS:
            raise BadFile(problems, more=True)
    if problems or not seen:
        raise BadFile(problems or [Problem(0, "there is no label in the file")])


def _row(line: int, record: dict[str, Any], column: str, rules: bool) -> Labelled | Problem:
    try:
        key, said = text(record, column, needed=True), record.get("labels")
        names = said if isinstance(said, list) else text(record, "labels").replace(";", " ").replace(",", " ").split()
    except ValueError as error:
        return Problem(line, str(error))
    if wrong := [name for name in names if not _may_be_given(name, rules)]:
        may = [name for name in categories.ALL if _may_be_given(name, rules)]
        return Problem(line, f"unknown label {wrong[0]!r}: expected topic_..., {', '.join(may)}")
    return Labelled(line, key, tuple(dict.fromkeys(names)))


def _may_be_given(name: object, rules: bool) -> bool:
    found = categories.known(name) if isinstance(name, str) else None
    return found is not None and (rules or not found.rule)


def _uuid(said: str) -> bool:
    try:
        UUID(said)
    except ValueError:
        return False
    return True
