"""`manage.py processes`: the process table, for whatever runs it instead of `up`."""

import json
import shlex
from argparse import ArgumentParser
from math import ceil
from typing import Any

from django.core.management.base import BaseCommand

from arena import processes
from arena.supervisor.process import Process
from arena.supervisor.state import MARK

GRACE_S = 5  # beyond the row's own drain, before a container is killed


class Command(BaseCommand):
    help = "Print the commands of the process table: as services for compose.yaml, or as a Procfile for this machine."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=("compose", "procfile"), default="procfile")

    def handle(self, **options: object) -> None:
        if options["format"] == "compose":
            self.stdout.write(json.dumps({"services": services()}, indent=2))
            return
        for row in processes.table(processes.Layout()):
            self.stdout.write(f"{row.name}: {shlex.join(_with_environment(row))}")


def services() -> dict[str, Any]:
    """What compose.yaml has to say of each process of ours: YAML is a superset of this JSON."""
    return {row.name: _service(row) for row in processes.ours(processes.Layout.containers())}


def _service(row: Process) -> dict[str, Any]:
    return {
        "command": list(row.argv),
        "environment": {name: value for name, value in row.env.items() if name != MARK},
        "stop_signal": row.stop_signal.name,
        "stop_grace_period": f"{ceil(row.stop_timeout_s) + GRACE_S}s",
    }


def _with_environment(row: Process) -> list[str]:
    """`env NAME=value ... command`: what a row needs beyond the environment that it inherits."""
    pairs = [f"{name}={value}" for name, value in row.env.items() if name != MARK]
    return ["env", *([] if row.inherit_env else ["-i"]), *pairs, *row.argv]
