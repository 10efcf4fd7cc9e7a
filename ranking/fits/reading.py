"""What a fit reads of the database, all at one moment: call under the counts' lock, which alone lets absorb() change them.

`public`: as the public log stands, without exclusions for abuse that are not released yet. The estimators (and numpy) come with
the first board that is read; web processes import this module and never load them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Count

from arena.models import VoteEvent
from ranking import method
from ranking.fits import streams
from ranking.fits.boards import Key
from ranking.models import IMPORT, PairCount, VoteImport, VoteStyle
from ranking.votelog import exclusions
from ranking.votelog.models import WithheldEntry

if TYPE_CHECKING:
    import numpy as np

    from ranking.board.inputs import Inputs
    from ranking.estimators.tally import Tally

SIDES = ("first_id", "second_id", "first_was_a", "outcome")
SUMS = ("count", "inverse_p", "inverse_p2")
Row = tuple[str, str, bool, str, int, float, float]  # of a cell: SIDES, then SUMS


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """`fingerprint`: of everything that decides the board; the bootstrap's seed comes from it."""

    inputs: "Inputs"
    fingerprint: str
    votes: int


def marker(key: Key) -> list[Any]:
    """A cheap sign of change: with the same marker the board is not read. Counts are a function of the set of absorbed events, of
    which none is taken away but by a wipe, which takes the boards, too; a category has the digest of its cells instead, so that
    votes of other categories do not count. What changes in place says so: another import of the same name, its labels, and the
    version of style rows."""
    styles = VoteStyle.objects.filter(event__origin=key.origin).order_by("version").values_list("version")
    styled = [list(row) for row in styles.annotate(n=Count("pk"))] if key.controlled else []
    imports = VoteImport.objects.filter(slug=key.origin.removeprefix(IMPORT)).values_list("pk", "relabelled")
    imported = [str(part) for part in imports.first() or ()] if key.imported else None
    bounds = [settings.BOARD_REPLICATES, settings.STREAM_VOTES, settings.THIN_VOTES]
    return [method.VERSION, *bounds, *_counted(key), styled, imported]


DIGEST = """
SELECT coalesce(sum(count), 0), coalesce(sum(count * hashtextextended(
  concat_ws(' ', first_id, second_id, first_was_a, outcome), 0)::numeric), 0)::text
FROM ranking_paircount WHERE origin = %s AND category = %s
"""


def _counted(key: Key) -> list[Any]:
    """How many events; of a category its votes and a sum of the hashes of its cells, of a thin one also of all cells.

    A category whose votes change hands within one run, cell by cell, keeps the errors by judge of the run before.
    """
    if not key.category:
        return [VoteEvent.objects.filter(origin=key.origin, absorbed=True).count()]
    votes, digest = _digest(key.origin, key.category)
    thin = votes < settings.THIN_VOTES and not key.controlled
    return [votes, digest, *(_digest(key.origin, "") if thin else ())]


def _digest(origin: str, category: str) -> tuple[int, str]:
    with connection.cursor() as cursor:
        cursor.execute(DIGEST, [origin, category])
        votes, digest = cursor.fetchone()
    return int(votes), digest


def read(key: Key, public: bool = False) -> Read:
    hidden = withheld(key.origin) if public else []
    return _rows_with_style(key, hidden) if key.controlled else _counts(key, hidden)


def _counts(key: Key, hidden: Sequence[UUID]) -> Read:
    from ranking.board.inputs import Inputs
    from ranking.board.periods import periods

    rows = cells(key, bool(hidden))
    tally = _tally(rows)
    votes = sum(row[4] for row in rows)
    columns = streams.votes(key, tally.models, hidden) if votes <= settings.STREAM_VOTES else None
    if columns is None and not key.category:
        more = exclusions.hidden(key.origin).judges if hidden else None
        judged: Any = streams.judges(key.origin, tally.models, more)
    else:
        judged = columns
    towards = cells(Key(key.origin), bool(hidden)) if key.category and votes < settings.THIN_VOTES else []
    fingerprint = _print([[row[:5] for row in part] for part in (rows, towards)], judged)
    inputs = Inputs(
        tally=tally,
        seed=int(fingerprint[:12], 16),
        replicates=settings.BOARD_REPLICATES,
        judges=_by_judge(tally.models, judged) if judged else None,
        periods=periods(tally.models, columns) if columns and not key.category else (),
        overall=_tally(towards) if towards else None,
        part=bool(key.category),
    )
    return Read(inputs, fingerprint, votes)


def _tally(rows: Sequence[Row]) -> "Tally":
    from ranking.estimators.tally import Cell, Tally

    return Tally.of_cells([Cell(*row[:2], row[3], row[4], row[2], *row[5:]) for row in rows])


def cells(key: Key, public: bool = False) -> list[Row]:
    """The board's cells that are not empty, in a fixed order."""
    sums: dict[tuple[str, str, bool, str], list[float]] = {}
    counted = PairCount.objects.filter(origin=key.origin, category=key.category, count__gt=0)
    for first, second, side, outcome, *numbers in counted.values_list(*SIDES, *SUMS):
        sums[str(first), str(second), side, outcome] = numbers
    if public:
        for (_, category, one, other, side, ending), change in exclusions.hidden(key.origin).pairs.items():
            if category == key.category:
                cell = sums.setdefault((str(one), str(other), side, ending), [0, 0.0, 0.0])
                cell[:] = [a + b for a, b in zip(cell, change, strict=True)]
    return [(*name, int(n), p, p2) for name, (n, p, p2) in sorted(sums.items()) if n]


def _rows_with_style(key: Key, hidden: Sequence[UUID]) -> Read:
    from ranking.board.inputs import Inputs
    from ranking.fits.reading_style import gathered

    models = sorted({name for row in cells(Key(key.origin, key.category), bool(hidden)) for name in row[:2]})
    tally, judges, rows, digest = gathered(streams.styled(key, models, settings.STYLE_VOTES_MOST, hidden), models)
    fingerprint = _print([method.VERSION, models], {"style": digest})
    seed = int(fingerprint[:12], 16)
    inputs = Inputs(
        tally=tally, seed=seed, replicates=settings.BOARD_REPLICATES, judges=judges, rows=rows, part=bool(key.category)
    )
    return Read(inputs, fingerprint, int(tally.total))


def _by_judge(models: Sequence[str], columns: "dict[str, np.ndarray]") -> Any:
    from ranking.estimators.judges import JudgeTally

    a, b, outcome, judge = (columns[name] for name in ("a", "b", "outcome", "judge"))
    return JudgeTally.of_battles(models, a, b, outcome, judge, columns.get("count"))


def _print(rows: Any, columns: "dict[str, Any] | None") -> str:
    digest = hashlib.sha256(json.dumps([method.VERSION, settings.BOARD_REPLICATES, rows]).encode())
    for name in sorted(columns or {}):
        column = (columns or {})[name]
        digest.update(name.encode() + (column if isinstance(column, bytes) else column.tobytes()))
    return digest.hexdigest()


def withheld(origin: str) -> list[UUID]:
    """Sealed exclusions that the public log does not hold yet."""
    waiting = WithheldEntry.objects.filter(released_at=None, event__origin=origin)
    return list(waiting.values_list("event_id", flat=True))
