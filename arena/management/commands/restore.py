"""`manage.py restore FILE`: the site as it was when the backup was taken."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.backup import BackupRefused, restoring
from arena.embedded.binaries import BinariesMissing


class Command(BaseCommand):
    help = "Check FILE, restore it beside the database that is there, then swap. The site must be stopped."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--yes", action="store_true", help="replace a database that is not empty")
        parser.add_argument("--keep-keys", action="store_true", help="do not ask for the keys of the backup")
        parser.add_argument("--drop-old", action="store_true", help="do not keep the replaced database")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = restoring.restore(
                options["file"].absolute(), options["yes"], options["keep_keys"], options["drop_old"]
            )
        except (BackupRefused, BinariesMissing) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"restored the backup of {done.made_at}: {done.releases} releases, {done.migrations} migrations"
        )
        if done.new_keys:
            self.stdout.write(f"its keys are in var/keys now: {', '.join(done.new_keys)}")
        if done.aside:
            self.stdout.write(f"the old database is kept as {done.aside}; --drop-old would have dropped it")
        self.stdout.write(
            f"what was deleted, withdrawn or recalled after {done.made_at} is back: the same requests must be met again"
        )
