"""`manage.py prepare`: everything that must be done once before the processes of this version start."""

from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from arena import installation


class Command(BaseCommand):
    help = (
        "Migrate the database (one process at a time) and collect the static files. `up` does the same at each start."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo", action="store_true", help="also seed the demo contestants and their battles")

    def handle(self, **options: object) -> None:
        try:
            applied = installation.migrate()
        except installation.TableBusy as error:
            raise CommandError(str(error)) from None
        installation.collect_static()
        if options["demo"]:
            installation.seed_demo()
        installation.follow_engine()
        self.stdout.write(f"{applied} migrations applied; static files are in {settings.STATIC_ROOT}")
