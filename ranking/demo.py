"""Removing the synthetic demo data: battles, events, counts and boards. Contestants stay, and so does everything live."""

from django.db import transaction

from arena import audit, demo
from arena.audit import Actor
from arena.live import broadcast
from arena.models import SiteConfig
from arena.models.battles import Origin
from ranking import counts
from ranking.models import BoardHistory, BoardSnapshot, BoardTrouble, JudgeCount, PairCount


def wipe(actor: Actor = None) -> int:
    """Remove everything of origin demo; returns how many battles that were. Safe beside a running absorb or fit."""
    with transaction.atomic():
        counts.take_lock()
        for kind in (BoardSnapshot, BoardHistory, BoardTrouble, PairCount, JudgeCount):
            kind.objects.filter(origin=Origin.DEMO).delete()
        removed = demo.wipe_battles()
        audit.record(actor, "wipe demo", SiteConfig.current(), {"demo battles": removed}, {"demo battles": 0})
    broadcast.send(broadcast.EVERYONE, {"type": "board", "origin": Origin.DEMO.value, "votes": 0})
    return removed
