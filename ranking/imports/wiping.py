"""Taking an import out: its events, styles, counts, boards and contestants. Nothing of the site's own is touched."""

from django.db import connection, transaction

from arena import audit
from arena.audit import Actor
from arena.models import Contestant
from ranking import counts
from ranking.models import BoardHistory, BoardSnapshot, BoardTrouble, JudgeCount, PairCount, VoteImport

EVENTS = """
WITH gone AS (DELETE FROM arena_voteevent WHERE origin = %s RETURNING id)
DELETE FROM ranking_votestyle WHERE event_id IN (SELECT id FROM gone)
"""


@transaction.atomic
def wipe_import(row: VoteImport, actor: Actor = None) -> None:
    """Remove an import, with an entry in the audit trail. Safe beside a running absorb or fit."""
    audit.record(actor, "wipe import", row, {"votes": row.votes}, {"votes": 0})
    wipe(row)


def wipe(row: VoteImport) -> None:
    """The same inside the caller's transaction, without the entry."""
    counts.take_lock()
    for kind in (BoardSnapshot, BoardHistory, BoardTrouble, PairCount, JudgeCount):
        kind.objects.filter(origin=row.origin).delete()
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, [row.origin])
    Contestant.objects.filter(origin=row.origin).delete()
    row.delete()
