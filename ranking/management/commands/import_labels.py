"""manage.py import_labels: say which votes are in which categories, for categories that no rule decides."""

from pathlib import Path
from typing import Any

from django.core.management import CommandParser
from django.core.management.base import BaseCommand, CommandError

from arena.voiding import ask_for_a_fit
from ranking.imports import label_files
from ranking.imports.row import BadFile
from ranking.models import VoteImport


class Command(BaseCommand):
    help = "Label votes from a file. Nothing is written unless every row is right."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="with columns `battle` (or, for an import, `vote`) and `labels`")
        parser.add_argument("--import", dest="slug", default="", help="label votes of this import, not of the site")
        parser.add_argument(
            "--source", default="", help="who says so (default: the file's name); replaced by its next file"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path, slug = options["file"], options["slug"]
        made = VoteImport.objects.filter(slug=slug).first()
        if slug and made is None:
            raise CommandError(f"there is no import {slug!r}")
        try:
            if made:
                votes = label_files.label_import(path, made)
            else:
                votes = label_files.label_site(path, options["source"] or path.name.partition(".")[0])
        except BadFile as bad:
            raise CommandError("\n".join([*map(str, bad.problems), "nothing was labelled"])) from bad
        except OSError as error:
            raise CommandError(f"{error}; nothing was labelled") from error
        ask_for_a_fit()
        self.stdout.write(f"labelled {votes} votes")
