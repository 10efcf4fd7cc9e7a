"""manage.py refit: absorb new votes and publish the boards now."""

from typing import Any

from django.core.management.base import BaseCommand

from ranking import fitting


class Command(BaseCommand):
    help = "Absorb new votes and publish each board whose counts have changed."

    def handle(self, *args: Any, **options: Any) -> None:
        made = fitting.refit()
        for snapshot in made:
            self.stdout.write(f"published the {snapshot.origin} board: {snapshot.votes} votes")
        if not made:
            self.stdout.write("nothing has changed since the last boards")
