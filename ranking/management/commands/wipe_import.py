"""manage.py wipe_import: take an import out, with its votes, counts, boards and contestants."""

from typing import Any

from django.core.management import CommandParser
from django.core.management.base import BaseCommand, CommandError

from ranking.imports.wiping import wipe_import
from ranking.models import VoteImport


class Command(BaseCommand):
    help = "Remove an import of votes by its name. Nothing of the site's own votes is touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="as shown, or the part of its origin after import:")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        row = VoteImport.objects.filter(slug=name).first() or VoteImport.objects.filter(title=name).first()
        if row is None:
            there = ", ".join(VoteImport.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"there is no import {name!r}; there are: {there}")
        wipe_import(row)
        self.stdout.write(f"removed {row.votes} imported votes")
