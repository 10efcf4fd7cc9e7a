"""manage.py adapter load|unload|list: LoRA adapters of an engine, while it runs."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from arena import adapters
from arena.demo.roster import ENGINE
from inference.adapter_calls import AdapterRefused
from inference.models import EngineEndpoint
from inference.sealed import WrongSealKey


class Command(BaseCommand):
    help = "Load a LoRA adapter into a running engine and list it as a contestant; unload it; list what is loaded."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        load = verbs.add_parser("load", help="serve a PEFT directory of the engine's --adapters-dir")
        load.add_argument("name", metavar="NAME")
        load.add_argument("--folder", default="", help="in the engine's --adapters-dir (default: NAME)")
        load.add_argument("--replace", action="store_true", help="also if one of that name is loaded")
        unload = verbs.add_parser("unload", help="draw it no more, and have the engine forget it")
        unload.add_argument("name", metavar="NAME")
        for verb in (load, unload, verbs.add_parser("list", help="what the engine serves")):
            verb.add_argument("--endpoint", default=ENGINE, help="the engine endpoint's name (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        endpoint = EngineEndpoint.objects.filter(name=options["endpoint"]).first()
        if endpoint is None:
            raise CommandError(f"there is no endpoint {options['endpoint']!r}")
        try:
            self._do(endpoint, options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        except (AdapterRefused, WrongSealKey) as error:
            raise CommandError(f"{endpoint.name}: {error}") from None

    def _do(self, endpoint: EngineEndpoint, options: dict[str, Any]) -> None:
        if options["verb"] == "list":
            for name in adapters.served(endpoint):
                self.stdout.write(name)
        elif options["verb"] == "unload":
            adapters.unload(endpoint, options["name"])
            self.stdout.write(f"{options['name']} is unloaded; its contestant keeps its votes and its page.")
        else:
            contestant = adapters.load(endpoint, options["name"], options["folder"], options["replace"])
            self.stdout.write(f"{options['name']} is loaded; its contestant is {contestant.name!r}.")
