"""Seeding happens once: what an operator wipes or changes stays wiped or changed at the next start."""

from django.db import transaction

from arena.demo import recordings
from arena.demo.battles import seed_battles
from arena.demo.roster import refresh, seed_roster
from arena.demo.voters import STRENGTH, bouts
from arena.models import Battle, SiteConfig
from arena.models.battles import Origin


@transaction.atomic
def seed(again: bool = False) -> int:
    """The roster and its synthetic battles, at the first call; later calls only follow moved folders. Returns battles written.

    `again` brings missing contestants back and writes the battles anew if there are none.
    """
    SiteConfig.objects.get_or_create(pk=1)
    site = SiteConfig.objects.select_for_update().get(pk=1)
    if site.demo_seeded and not again:
        refresh()
        return 0
    seed_roster()
    refresh()
    recorded = recordings.load()
    prompts = recorded.answered_by_all(set(STRENGTH))
    if not prompts:
        return 0  # an edition without recordings starts with an empty board, which says so
    site.demo_seeded = True
    site.save(update_fields=["demo_seeded"])
    if Battle.objects.filter(origin=Origin.DEMO).exists():
        return 0
    return seed_battles(bouts(prompts), recorded)
