"""manage.py label_votes: decide the categories and the style of every vote that lacks them, now."""

from typing import Any

from django.core.management.base import BaseCommand

from ranking.counting import labelling


class Command(BaseCommand):
    help = (
        "Label votes whose messages are enriched. It also happens by itself: at every fit, and by a job after a change."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = labelling.label_all()
        self.stdout.write(f"labelled {done} votes; {labelling.lacking().count()} wait for detectors or are erased")
