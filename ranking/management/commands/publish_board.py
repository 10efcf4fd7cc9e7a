"""manage.py publish_board: publish the live boards now, whatever the schedule says."""

from typing import Any

from django.core.management.base import BaseCommand

from arena import audit
from arena.models import SiteConfig
from ranking.fits.boards import Key
from ranking.votelog import publication


class Command(BaseCommand):
    help = "Publish the live boards now. Exclusions for abuse stay hidden until their batch."

    def handle(self, *args: Any, **options: Any) -> None:
        audit.record(None, "publish board", SiteConfig.current())
        made = publication.publish(at_once=True)
        for snapshot in made:
            self.stdout.write(f"published {Key.of(snapshot)}: {snapshot.votes} votes")
        if not made:
            self.stdout.write("nothing has changed since the last boards")
