"""manage.py seed_demo: the demo contestants and about 300 synthetic battles, once."""

from typing import Any

from django.core.management import CommandParser, call_command
from django.core.management.base import BaseCommand

from arena import demo


class Command(BaseCommand):
    help = "Add the demo contestants and their synthetic battles. Does nothing, quickly, where that has been done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--again", action="store_true", help="bring back what has been wiped")

    def handle(self, *args: Any, **options: Any) -> None:
        written = demo.seed(again=options["again"])
        if written:
            call_command("refit", verbosity=0)
        if options["verbosity"]:
            self.stdout.write(f"wrote {written} synthetic battles" if written else "the demo is in place")
