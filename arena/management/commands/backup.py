"""`manage.py backup FILE`: everything that cannot be made again, in one file, while the site runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.backup import BackupRefused, taking
from arena.embedded.binaries import BinariesMissing


class Command(BaseCommand):
    help = (
        "Write database, releases and keys into FILE. It must not exist; it holds secrets and all texts: keep it safe."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--without-keys", action="store_true", help="you keep the secret keys elsewhere")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with taking.servers_at_hand():
                manifest = taking.take(options["file"].absolute(), not options["without_keys"])
        except (BackupRefused, BinariesMissing) as error:
            raise CommandError(str(error)) from None
        size = options["file"].stat().st_size
        self.stdout.write(f"{options['file']}: {len(manifest['files'])} files, {size / 1e6:.1f} MB, mode 0600")
