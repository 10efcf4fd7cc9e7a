"""manage.py import_votes: rank the votes of a file, as an origin of its own beside the site's votes."""

from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

from django.core.management import CommandParser
from django.core.management.base import BaseCommand, CommandError

from arena.errors import Refused
from ranking.imports.formats import NAMES
from ranking.imports.importing import import_votes
from ranking.imports.reading import MOST_PROBLEMS
from ranking.imports.row import BadFile

EVERY_S = 2.0


class Command(BaseCommand):
    help = "Import a file of votes (LMSYS, arena, ComparIA or a plain table). Nothing is written unless every row is right."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV, TSV, JSON, JSON lines (all also .gz) or Parquet")
        parser.add_argument("--format", choices=("auto", *NAMES), default="auto", help="default: told by the columns")
        parser.add_argument("--name", default="", help="of the import and its board (default: that of the file)")
        parser.add_argument("--replace", action="store_true", help="remove the import of that name first")

        parser.add_argument(
            "--problems", type=int, default=MOST_PROBLEMS, help="how many are told before reading stops"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        begun = self._told = monotonic()
        if options["problems"] < 1:
            raise CommandError("--problems is 1 or more")
        wanted = {key: options[key] for key in ("name", "format", "replace", "problems")}
        unvoted = count()
        try:
            made = import_votes(options["file"], progress=self._progress, unvoted=lambda: next(unvoted), **wanted)
        except BadFile as bad:
            more = ["(there may be more)"] if bad.more else []
            raise CommandError("\n".join([*map(str, bad.problems), *more, "nothing was imported"])) from bad
        except (Refused, OSError) as error:
            raise CommandError(f"{error}; nothing was imported") from error
        seconds = monotonic() - begun
        said = (
            f"imported {made.votes} votes ({made.counted} count, {made.styled} with style) on {made.contestants} models"
        )
        self.stdout.write(f"{said} as {made.origin} ({made.format}, {made.votes / seconds:.0f} rows/s)")
        if passed := next(unvoted):
            self.stdout.write(f"{passed} more rows are of conversations that nobody voted on")
        self.stdout.write(f"The next fit makes its board: /leaderboard?origin={made.origin}")

    def _progress(self, votes: int) -> None:
        if monotonic() - self._told >= EVERY_S:
            self._told = monotonic()
            self.stderr.write(f"{votes} rows read")
