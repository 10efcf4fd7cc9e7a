"""From counts to boards: which ones are fitted, when, and how a snapshot is stored.

The estimators (and numpy) are imported by the fit alone: web and generate never load them.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from arena import clock
from arena.models.battles import Origin
from ranking import agreement, counts, sampling
from ranking.counting import labelling
from ranking.fits import candidates, reading, runs, sampling_ledger, service_figures, topics, troubles
from ranking.fits.boards import Key
from ranking.fits.reading import Read
from ranking.models import BoardSnapshot, PairCount
from ranking.votelog import publication

MARK = "UPDATE ranking_boardsnapshot SET board = jsonb_set(board, '{marker}', %s::jsonb) WHERE id = %s"

log = logging.getLogger(__name__)


def refit() -> list[BoardSnapshot]:
    """Label and absorb new votes and fit each board whose votes have changed; returns the new snapshots.

    They are for operators, but for what `publication.at_once` publishes: demo and imported boards and the first live ones. After
    settings.REFIT_BUDGET_S no further board is begun; the ones that have waited longest come first the next time.
    """
    with runs.noted() as account:
        labelling.sweep()
        counts.absorb()
        made = each(candidates.wanted(), fit, account)
        sampling.write_weights()
        publication.at_once(made)
        agreement.refresh()
    return made


def resume() -> list[BoardSnapshot]:
    """Begin a run again that was killed or failed."""
    if not runs.broken_off():
        return []
    log.warning("the last run of fits did not end as it should: it is begun again")
    return refit()


def each(
    keys: Sequence[Key], verb: Callable[[Key], BoardSnapshot | None], account: runs.Account | None = None
) -> list[BoardSnapshot]:
    """What `verb` makes of each board within the budget. A board that fails is noted for operators and stops no other."""
    made, begin, account = [], time.monotonic(), account or runs.Account()
    for key in keys:
        if account.looked and time.monotonic() - begin > settings.REFIT_BUDGET_S:
            log.warning("the time for fits is spent: the board %s and those after it wait for the next run", key)
            break
        account.looked += 1
        try:
            snapshot = verb(key)
        except Exception as error:
            log.exception("the %s board could not be fitted", key)
            troubles.note(key, error)
            account.failed += 1
            continue
        troubles.clear(key)
        made += [snapshot] if snapshot else []
    account.waiting, account.fitted = len(keys) - account.looked, len(made)
    return made


def fit(key: Key) -> BoardSnapshot | None:
    """A new snapshot of one board, or None while what it is made from is that of its last one.

    What is read is of one moment, because the counts' lock is held. In between nothing is locked. The lock is held again when the
    snapshot is stored, and a fit whose board was fitted by somebody else meanwhile, or whose votes were wiped or imported anew,
    is thrown away: two fits never store the same board twice, and a wipe cannot be undone by a late snapshot.
    """
    with transaction.atomic():
        counts.take_lock()
        last, mark = _fits(key).first(), reading.marker(key)
        if last and last.board.get("marker") == mark:
            return None
        read = reading.read(key)
        if last and last.board["fingerprint"] == read.fingerprint:
            remark(last, mark)
            return None
        if not last and read.votes < _least(key):
            return None
    board = build(read)
    with transaction.atomic():
        counts.take_lock()
        if _fits(key).first() != last or (read.votes and not _counted(key)):
            return None
        if key.imported and reading.marker(key) != mark:
            return None
        snapshot = store(key, read, board, marker=mark)
    log.info("fitted %s: %d votes, %d models", key, snapshot.votes, len(board["models"]))
    return snapshot


def remark(last: BoardSnapshot, mark: Any) -> None:
    """What changed changes nothing of this board (an unranked vote, say): it need not be read again for that."""
    with connection.cursor() as cursor:
        cursor.execute(MARK, [json.dumps(mark), last.pk])


def public_fits(origin: str) -> list[BoardSnapshot]:
    """The boards of an origin that are not as the public log stands, under the counts' lock: fits of that state, to publish.

    What is measured is of this moment: how old it is would tell whether the board had to be fitted for its publication.
    """
    made = each(candidates.wanted(origin), _public_fit)
    for snapshot in made:
        if Key.of(snapshot) == Key(origin):
            snapshot.board |= measured(origin, snapshot)
    return made


@transaction.atomic
def _public_fit(key: Key) -> BoardSnapshot | None:
    """A board whose published snapshot is of the public log's state stays, although there may be a later fit of it: publishing
    that one would tell that something was excluded and taken back in between."""
    fit(key)
    boards = BoardSnapshot.objects.filter(**key.columns).order_by("-fitted_at", "-id")
    shown = boards.published().order_by("-published_at", "-id").first()
    last = _fits(key).first()
    if last and not reading.withheld(key.origin):  # most often the public counts are the same, and the fit is published
        if shown and shown.board["fingerprint"] == last.board["fingerprint"]:
            return None
        if last.published_at is None:
            return last
    read = reading.read(key, public=True)
    if (shown.board["fingerprint"] == read.fingerprint) if shown else read.votes < _least(key):
        return None
    known = boards.filter(published_at=None, board__fingerprint=read.fingerprint).first()
    return known or store(key, read, build(read), public_counts=True)


def build(read: Read) -> dict[str, Any]:
    from ranking.board.build import build as board_of

    return board_of(read.inputs)


def store(
    key: Key, read: Read, board: dict[str, Any], marker: Any = None, public_counts: bool = False
) -> BoardSnapshot:
    """Under the counts' lock."""
    more = {"fingerprint": read.fingerprint, "marker": marker}
    if key == Key(key.origin):
        more |= beside(key.origin, board, public_counts)
    snapshot = BoardSnapshot.objects.create(
        **key.columns,
        votes=read.votes,
        seed=read.inputs.seed,
        board=board | more,
        fitted_at=clock.now(),
        public_counts=public_counts,
    )
    prune(key)
    return snapshot


def beside(origin: str, board: dict[str, Any], public: bool = False) -> dict[str, Any]:
    """What is stored with an overall board without being part of its fit; `public`: as the public log stands."""
    from ranking.fits import planning_facts

    last = BoardSnapshot.objects.filter(**Key(origin).columns).order_by("-fitted_at", "-id").first()
    drawn = sampling_ledger.pair_chances() if origin == Origin.LIVE else {}
    fitted = {"planning": planning_facts.of(board, drawn), "topics": topics.measure(origin, board, public)}
    return fitted | measured(origin, last)


def measured(origin: str, last: BoardSnapshot | None) -> dict[str, Any]:
    """Service, and the ledger of the draws carried on from that of the board `last`, both until now."""
    ledger = sampling_ledger.account(origin, last.board.get("sampling") if last else None)
    return {"service": service_figures.measure(origin), "sampling": ledger}


def prune(key: Key) -> None:
    """Keep the newest settings.BOARD_SNAPSHOTS_KEPT snapshots of a board, of the published ones and of the others."""
    boards = BoardSnapshot.objects.filter(**key.columns).order_by("-fitted_at", "-id")
    for part in (boards.published(), boards.filter(published_at=None)):
        kept = part.values_list("pk", flat=True)[: settings.BOARD_SNAPSHOTS_KEPT]
        part.exclude(pk__in=list(kept)).delete()


def _fits(key: Key) -> Any:
    return BoardSnapshot.objects.fits().filter(**key.columns).order_by("-fitted_at", "-id")


def _least(key: Key) -> int:
    """Votes of a first board: the candidates know how many votes of an origin have style counts, not of a category."""
    return settings.STYLE_VOTES if key.controlled else 1


def _counted(key: Key) -> bool:
    return PairCount.objects.filter(origin=key.origin, count__gt=0).exists()
