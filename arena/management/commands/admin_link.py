"""`manage.py admin_link`: a new one-time admin link."""

import os

from django.conf import settings
from django.core.management.base import BaseCommand

from arena import accounts
from arena.embedded import paths
from arena.supervisor import state


class Command(BaseCommand):
    help = "Print a link that signs one browser in as the operator: works once, for 15 minutes."

    def handle(self, **options: object) -> None:
        """The site's configured address, else that of the arena that `up` runs here."""
        running = None if os.environ.get("AGON_SITE_URL") else state.url(paths.run_dir() / state.FILE)
        self.stdout.write((running or settings.SITE_URL).rstrip("/") + accounts.one_time_login_path())
