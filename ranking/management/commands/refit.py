"""manage.py refit: absorb new votes and fit the boards now."""

from typing import Any

from django.core.management.base import BaseCommand

from ranking.fits import fitting
from ranking.fits.boards import Key


class Command(BaseCommand):
    help = "Absorb new votes and fit each board whose counts have changed. publish_board publishes the live ones."

    def handle(self, *args: Any, **options: Any) -> None:
        made = fitting.refit()
        for snapshot in made:
            snapshot.refresh_from_db()  # the first live board is published by another row of the same fit
            public = "published" if snapshot.published_at else "not published yet"
            self.stdout.write(f"fitted {Key.of(snapshot)}: {snapshot.votes} votes, {public}")
        if not made:
            self.stdout.write("nothing has changed since the last boards")
