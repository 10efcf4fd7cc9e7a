"""From counts to published boards. The estimators (and numpy) are imported by the fit alone: web and generate never load them."""

import hashlib
import json
import logging
from typing import Any

from django.conf import settings
from django.db import transaction

from arena.clock import now
from arena.live import broadcast
from arena.models.battles import Origin
from ranking import counts, method, sampling, sampling_ledger, service_figures
from ranking.models import BoardSnapshot, PairCount

FITTED = (Origin.LIVE, Origin.DEMO)
OVERALL = ""

log = logging.getLogger(__name__)


def refit() -> list[BoardSnapshot]:
    """Absorb new vote events and publish the board of each origin whose counts have changed; returns the new snapshots."""
    counts.absorb()
    made = [snapshot for origin in FITTED if (snapshot := _fit(origin))]
    sampling.write_weights()
    for snapshot in made:
        announce(snapshot)
    return made


def announce(snapshot: BoardSnapshot) -> None:
    broadcast.send(
        broadcast.EVERYONE,
        {
            "type": "board",
            "origin": snapshot.origin,
            "votes": snapshot.votes,
            "fitted_at": snapshot.fitted_at.isoformat(),
        },
    )


def _fit(origin: str) -> BoardSnapshot | None:
    """A new snapshot of one origin, or None while the counts (and the method) are those of its last one.

    Counts are read and the snapshot is written under the counts' lock, so that two fits never store the same board twice and a
    wipe in between cannot be undone by a late snapshot. A fit takes about a second; absorb() waits for that long.
    """
    with transaction.atomic():
        counts.take_lock()
        rows = cells(origin)
        last = BoardSnapshot.objects.filter(origin=origin, category=OVERALL).order_by("-fitted_at").first()
        print_now = fingerprint(rows)
        if (last.board["fingerprint"] == print_now) if last else not rows:
            return None
        board, seed = build(rows, print_now)
        board |= beside(origin, last.board if last else {})
        snapshot = BoardSnapshot.objects.create(
            origin=origin, category=OVERALL, votes=sum(row[-1] for row in rows), seed=seed, board=board, fitted_at=now()
        )
        prune(origin)
    log.info("published the %s board: %d votes, %d models", origin, snapshot.votes, len(board["models"]))
    return snapshot


def cells(origin: str) -> list[tuple[str, str, str, int]]:
    """(first, second, outcome, count), sides pooled, in a fixed order."""
    pooled: dict[tuple[str, str, str], int] = {}
    counted = PairCount.objects.filter(origin=origin, category=OVERALL, count__gt=0)
    for first, second, outcome, count in counted.values_list("first_id", "second_id", "outcome", "count"):
        key = (str(first), str(second), outcome)
        pooled[key] = pooled.get(key, 0) + count
    return [(*key, pooled[key]) for key in sorted(pooled)]


def fingerprint(rows: list[tuple[str, str, str, int]]) -> str:
    """Of everything that decides a board: the counts and the method's version."""
    return hashlib.sha256(json.dumps([method.VERSION, rows]).encode()).hexdigest()


def build(rows: list[tuple[str, str, str, int]], print_now: str) -> tuple[dict[str, Any], int]:
    """The board and its bootstrap's seed, which comes from the counts: the same counts always give the same board."""
    from ranking import board

    seed = int(print_now[:12], 16)
    fitted = board.build([board.Cell(*row) for row in rows], seed)
    return {**fitted, "fingerprint": print_now}, seed


def beside(origin: str, before: dict[str, Any]) -> dict[str, Any]:
    """What is published with a board without being fitted; `before` is the origin's last board, {} for none."""
    return {
        "service": service_figures.measure(origin),
        "sampling": sampling_ledger.account(origin, before.get("sampling")),
    }


def prune(origin: str) -> None:
    """Keep the newest settings.BOARD_SNAPSHOTS_KEPT snapshots of an origin."""
    snapshots = BoardSnapshot.objects.filter(origin=origin, category=OVERALL).order_by("-fitted_at", "-id")
    kept = snapshots.values_list("pk", flat=True)[: settings.BOARD_SNAPSHOTS_KEPT]
    snapshots.exclude(pk__in=list(kept)).delete()
