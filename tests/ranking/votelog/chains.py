"""What the two chains hold, and whether they are whole; and what the commands say that check them."""

import json
from typing import Any

import pytest
from django.core.management import call_command

from ranking.models import LogEntry, WithheldEntry
from ranking.votelog import chain


def log() -> list[dict[str, Any]]:
    return [json.loads(body) for body in LogEntry.objects.order_by("number").values_list("body", flat=True)]


def withheld() -> list[dict[str, Any]]:
    return [json.loads(body) for body in WithheldEntry.objects.order_by("number").values_list("body", flat=True)]


def sound() -> bool:
    for model in (LogEntry, WithheldEntry):
        walk = chain.Walk()
        for number, body, digest in model.objects.order_by("number").values_list("number", "body", "hash"):
            walk.take(body)
            assert walk.head == chain.Head(number, digest)
        assert walk.faults == []
    return True


def ran(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a management command, and what it printed."""
    try:
        call_command(command)
    except SystemExit as stop:
        return int(stop.code or 0), capsys.readouterr().out
    return 0, capsys.readouterr().out
