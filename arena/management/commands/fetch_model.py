"""manage.py fetch_model ID: bring a Hugging Face model into the engine's models folder."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from arena import local_engine
from inference.fetch import FetchError, fetch


class Command(BaseCommand):
    help = "Fetch a Llama-family model from the Hugging Face hub, or from a directory, for Agon's own engine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", metavar="ID", help="owner/model on the hub, or the path of a directory")
        parser.add_argument("--name", default="", help="folder and model name (default: the last part of ID)")
        parser.add_argument("--revision", default="main", help="branch, tag or commit (default: main)")
        parser.add_argument(
            "--switch", action="store_true", help="have the local engine serve it from its next start on"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            path = fetch(options["id"], settings.MODELS_DIR, options["name"], options["revision"])
        except FetchError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{path.name} is ready in {path}")
        if not options["switch"]:
            self.stdout.write(f"Use it: python manage.py fetch_model {path} --switch, then start `make up` again")
            return
        contestants = local_engine.switch(path)
        self.stdout.write(f"From the next `make up` on, the engine serves {path.name} ({contestants} in the ring).")
        if contestants < 2:
            self.stdout.write(
                "A battle needs two contestants: add another model, or this one with another system prompt."
            )
