"""From counts to boards. The estimators (and numpy) are imported by the fit alone: web and generate never load them."""

import hashlib
import json
import logging
from collections import Counter
from typing import Any

from django.conf import settings
from django.db import transaction

from arena import clock
from arena.models.battles import Origin
from ranking import counts, labelling, method, sampling, sampling_ledger, service_figures
from ranking.models import BoardSnapshot, PairCount
from ranking.votelog import exclusions, publication

FITTED = (Origin.LIVE, Origin.DEMO)
OVERALL = ""

log = logging.getLogger(__name__)


def refit() -> list[BoardSnapshot]:
    """Label and absorb new votes and fit each origin whose counts have changed; returns the new snapshots.

    They are for operators, but for what `publication.at_once` publishes: demo boards and the first live one.
    """
    labelling.sweep()
    counts.absorb()
    made = [snapshot for origin in FITTED if (snapshot := fit(origin))]
    sampling.write_weights()
    publication.at_once(made)
    return made


def fit(origin: str) -> BoardSnapshot | None:
    """A new snapshot of one origin, or None while the counts (and the method) are those of its last one.

    Counts are read and the snapshot is written under the counts' lock, so that two fits never store the same board twice and a
    wipe in between cannot be undone by a late snapshot. A fit takes about a second; absorb() waits for that long.
    """
    with transaction.atomic():
        counts.take_lock()
        rows = cells(origin)
        last = (
            BoardSnapshot.objects.fits().filter(origin=origin, category=OVERALL).order_by("-fitted_at", "-id").first()
        )
        print_now = fingerprint(rows)
        if (last.board["fingerprint"] == print_now) if last else not rows:
            return None
        snapshot = _store(origin, rows, print_now)
        prune(origin)
    log.info("fitted the %s board: %d votes, %d models", origin, snapshot.votes, len(snapshot.board["models"]))
    return snapshot


def public_fits(origin: str) -> list[BoardSnapshot]:
    """The boards of an origin that are not as the public log stands, under the counts' lock: fits of that state, to publish.

    A board whose published snapshot is of that state stays, although there may be a later fit of it: publishing that one
    would tell that something was excluded and taken back in between.
    """
    rows = cells(origin, public=True)
    print_now = fingerprint(rows)
    boards = BoardSnapshot.objects.filter(origin=origin, category=OVERALL)
    shown = boards.published().order_by("-published_at", "-id").first()
    if (shown.board["fingerprint"] == print_now) if shown else not rows:
        return []
    fits = boards.filter(published_at=None, board__fingerprint=print_now)
    known = fits.order_by("-fitted_at", "-id").first()
    return [known or _store(origin, rows, print_now, public_counts=True)]


def _store(origin: str, rows: list[tuple[str, str, str, int]], print_now: str, **more: Any) -> BoardSnapshot:
    last = BoardSnapshot.objects.filter(origin=origin, category=OVERALL).order_by("-fitted_at", "-id").first()
    board, seed = build(rows, print_now)
    board |= beside(origin, board, last.board if last else {})
    votes = sum(row[-1] for row in rows)
    return BoardSnapshot.objects.create(
        origin=origin, category=OVERALL, votes=votes, seed=seed, board=board, fitted_at=clock.now(), **more
    )


def cells(origin: str, public: bool = False) -> list[tuple[str, str, str, int]]:
    """(first, second, outcome, count), sides pooled, in a fixed order; `public`: as the public log stands."""
    pooled: Counter[tuple[str, str, str]] = Counter()
    counted = PairCount.objects.filter(origin=origin, category=OVERALL, count__gt=0)
    for first, second, outcome, count in counted.values_list("first_id", "second_id", "outcome", "count"):
        pooled[str(first), str(second), outcome] += count
    if public:
        for (_origin, category, one, other, _side, ending), change in exclusions.hidden(origin).pairs.items():
            if category == OVERALL:
                pooled[str(one), str(other), ending] += int(change[0])
    return [(*key, pooled[key]) for key in sorted(pooled) if pooled[key]]


def fingerprint(rows: list[tuple[str, str, str, int]]) -> str:
    """Of everything that decides a board: the counts and the method's version."""
    return hashlib.sha256(json.dumps([method.VERSION, rows]).encode()).hexdigest()


def build(rows: list[tuple[str, str, str, int]], print_now: str) -> tuple[dict[str, Any], int]:
    """The board and its bootstrap's seed, which comes from the counts: the same counts always give the same board."""
    from ranking import board

    seed = int(print_now[:12], 16)
    fitted = board.build([board.Cell(*row) for row in rows], seed)
    return {**fitted, "fingerprint": print_now}, seed


def beside(origin: str, board: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """What is stored with an overall board without being part of its fit; `before` is the origin's last board, {} for none."""
    from ranking import planning_facts

    drawn = sampling_ledger.pair_chances() if origin == Origin.LIVE else {}
    return {
        "planning": planning_facts.of(board, drawn),
        "service": service_figures.measure(origin),
        "sampling": sampling_ledger.account(origin, before.get("sampling")),
    }


def prune(origin: str) -> None:
    """Keep the newest settings.BOARD_SNAPSHOTS_KEPT snapshots of an origin, of the published ones and of the others."""
    boards = BoardSnapshot.objects.filter(origin=origin, category=OVERALL).order_by("-fitted_at", "-id")
    for part in (boards.published(), boards.filter(published_at=None)):
        kept = part.values_list("pk", flat=True)[: settings.BOARD_SNAPSHOTS_KEPT]
        part.exclude(pk__in=list(kept)).delete()
