"""`manage.py admin_link`: a new one-time admin link."""

from django.conf import settings
from django.core.management.base import BaseCommand

from arena import accounts


class Command(BaseCommand):
    help = "Print a link that signs one browser in as the operator: works once, for 15 minutes."

    def handle(self, **options: object) -> None:
        self.stdout.write(settings.SITE_URL.rstrip("/") + accounts.one_time_login_path())
