"""Publishing: which boards the public sees, and since when.

A fit makes a snapshot that operators see at once. The public sees published snapshots only: at the fixed moments of
AGON_PUBLISH_S (or when an operator says so) the live boards are published, fitted from exactly what the public log holds
then: every vote absorbed so far, and those exclusions for abuse that have been released. The first board of the live votes
is published at once; demo and imported boards hold no secret and are published with every fit.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db import transaction

from arena import clock
from arena.live import broadcast
from arena.models.battles import Origin
from ranking import counts
from ranking.fits import history, leads
from ranking.fits.boards import NAMES, Key
from ranking.models import BoardSnapshot
from ranking.votelog import chain, documents, names, opening, schedule, sealing
from ranking.votelog.models import PUBLICATION, LogEntry, PublishingState

log = logging.getLogger(__name__)


def publish(at_once: bool = False) -> list[BoardSnapshot]:
    """Publish the live boards if a moment of the schedule has come, or `at_once`; returns those that have changed."""
    if not (at_once or due()):
        return []
    counts.absorb()
    with transaction.atomic():
        counts.take_lock()
        moment = clock.now()
        if not (at_once or due(moment)):  # somebody else has just served it
            return []
        made = _publish_live(moment)
    announce(made)
    return made


def at_once(made: Iterable[BoardSnapshot]) -> None:
    """After a fit: publish what waits for no schedule, which are new demo and imported boards and the first live one.

    Also those of a run that ended before it came to this. Under the counts' lock: a wipe takes boards out.
    """
    live = BoardSnapshot.objects.filter(origin=Origin.LIVE)
    if live.exists() and not live.published().exists():
        publish(at_once=True)
    known = {snapshot.pk: snapshot for snapshot in made}
    with transaction.atomic():
        counts.take_lock()
        free = [known.get(snapshot.pk, snapshot) for snapshot in _free()]
        for snapshot in free:
            _mark(snapshot, snapshot.fitted_at)
    announce(free)


def _free() -> Iterable[BoardSnapshot]:
    """The newest fits of boards that wait for no schedule, as far as they are not published."""
    newest = BoardSnapshot.objects.exclude(origin=Origin.LIVE).order_by(*NAMES, "-fitted_at", "-id").distinct(*NAMES)
    return BoardSnapshot.objects.filter(pk__in=newest.values("pk"), published_at=None).order_by(*NAMES)


def due(moment: datetime | None = None) -> bool:
    """Whether a fixed moment has come that no publication has served."""
    state = PublishingState.objects.first()
    return state is None or state.served < schedule.slot(moment or clock.now(), settings.PUBLISH_S)


def next_moment() -> datetime:
    """When the schedule publishes next."""
    return schedule.following(clock.now(), settings.PUBLISH_S)


def announce(made: Iterable[BoardSnapshot]) -> None:
    """Tell open pages of new boards, the overall ones: their pages reload by themselves."""
    for snapshot in made:
        if snapshot.category == "" and snapshot.published_at:
            message = {"type": "board", "origin": snapshot.origin, "votes": snapshot.votes}
            broadcast.send(broadcast.EVERYONE, message | {"published_at": snapshot.published_at.isoformat()})


def _publish_live(moment: datetime) -> list[BoardSnapshot]:
    """Under the counts' lock. The estimators come with the fit: web processes import this module and never load them."""
    from ranking.fits import fitting

    PublishingState.objects.update_or_create(id=1, defaults={"served": moment})
    sealing.release(moment, settings.LOG_DELAY_S, settings.LOG_BATCH_S)
    made = fitting.public_fits(Origin.LIVE)
    for snapshot in made:
        _mark(snapshot, moment)
    _record(made, moment)
    return made


def _record(made: list[BoardSnapshot], moment: datetime) -> None:
    """The line that makes everything before it public, with the boards that were fitted from it; no line when nothing is new."""
    last = sealing.head()
    if not made and last.number == (LogEntry.objects.public_end() or 0):
        return
    for snapshot in made:
        snapshot.refresh_from_db()
    withheld = sealing.withheld_head()
    entry = {
        "kind": PUBLICATION,
        "format": chain.FORMAT,
        "at": moment.isoformat(timespec="seconds"),
        "models": documents.order(),
        "boards": [documents.signature(snapshot) for snapshot in made],
        "withheld": opening.commitment(names.salt(last.number + 1), withheld.hash),
    }
    for snapshot in made:
        snapshot.log_entry = last.number + 1
        snapshot.save(update_fields=["log_entry"])
    sealing.append([entry], last, about=withheld.number)


def _mark(snapshot: BoardSnapshot, moment: datetime) -> None:
    leads.follow(snapshot, moment)
    snapshot.published_at = moment
    snapshot.save(update_fields=["published_at", "board"])
    history.keep(snapshot)
    log.info("published %s: %d votes", Key.of(snapshot), snapshot.votes)
