"""What operators see of the ranking on /ops and /metrics: `arena.operations.computing` asks by name, at every tick.

Times are ISO texts, so that a page can tell ages of its own moment. Every query reads one row, a partial index, or the few
snapshots that are kept.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Min

from arena import clock
from arena.models import VoteEvent
from ranking.fits import runs
from ranking.models import (
    BoardSnapshot,
    BoardTrouble,
    FitRun,
    LogEntry,
    PublishingState,
    SealingState,
    Suspicion,
    WithheldEntry,
)
from ranking.votelog import publication, schedule, sealing

TROUBLES_SHOWN = 20


def figures() -> dict[str, Any]:
    return {
        "run": run(),
        "boards": boards(),
        "publication": published(),
        "log": log(),
        "suspicions": Suspicion.objects.open_by_detector(),
    }


def run() -> dict[str, Any] | None:
    """The last run over all boards: `state` running, done, failed or killed; `again`: how many right before it ended badly."""
    last = FitRun.objects.first()
    if last is None:
        return None
    state = "failed" if last.error else "done"
    if last.ended_at is None:
        state = "running" if runs.going_on() else "killed"
    counted = {name: getattr(last, name) for name in ("looked", "fitted", "failed", "waiting", "error")}
    seconds = (last.ended_at - last.begun_at).total_seconds() if last.ended_at else None
    times = {"begun_at": _text(last.begun_at), "ended_at": _text(last.ended_at), "seconds": seconds}
    return {"state": state, "again": last.interrupted} | times | counted


def boards() -> dict[str, Any]:
    """How many boards there are, and those that could not be fitted the last time (the first TROUBLES_SHOWN)."""
    known = BoardSnapshot.objects.order_by().values("origin", "category", "controlled").distinct().count()
    bad = BoardTrouble.objects.order_by("since")
    shown = bad[:TROUBLES_SHOWN]
    told = [{"board": one.board, "since": _text(one.since), "times": one.times, "error": one.error} for one in shown]
    return {"known": known, "failed": bad.count(), "troubles": told}


def published() -> dict[str, Any]:
    """`served`: the last publication; `changed`: when it last changed a live board; `overdue`: a moment that nobody served.

    Before the first publication nothing is overdue: the schedule's moments were before the installation.
    """
    state = PublishingState.objects.first()
    newest = BoardSnapshot.objects.filter(origin="live").published().order_by("-published_at")
    missed = schedule.slot(clock.now(), settings.PUBLISH_S) if state and publication.due() else None
    return {
        "served": _text(state.served if state else None),
        "changed": _text(newest.values_list("published_at", flat=True).first()),
        "next": _text(publication.next_moment()),
        "overdue": _text(missed),
    }


def log() -> dict[str, Any]:
    """Lines of the chain, how many of them are public, exclusions sealed and not public yet, and the oldest event outside."""
    outside = VoteEvent.objects.filter(absorbed=False).aggregate(oldest=Min("created_at"))["oldest"]
    state = SealingState.objects.first()
    return {
        "lines": sealing.head().number,
        "public": LogEntry.objects.public_end() or 0,
        "hidden": WithheldEntry.objects.filter(released_at=None).count(),
        "oldest": _text(outside),
        "earlier": state.sealed if state else None,
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
