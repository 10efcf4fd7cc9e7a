"""Logs of the web app's processes: how they look, and which battle a line is about.

`about` puts a battle into the circumstances of everything that is logged from here on in this request, task or thread;
`inference.logs` keeps texts and secrets out of the lines themselves.
"""

import logging
import logging.config
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any
from uuid import UUID

from celery.signals import setup_logging, task_prerun

from inference import logs
from inference.logs import Quiet

__all__ = ["Json", "Line", "Quiet", "about", "battle", "configure", "process_name"]
_battle: ContextVar[str] = ContextVar("battle", default="")
log = logging.getLogger(__name__)


def about(battle_id: UUID | str | None) -> None:
    """What is logged from here on in this context is about this battle."""
    _battle.set(str(battle_id or ""))


@contextmanager
def battle(battle_id: UUID | str | None) -> Iterator[None]:
    """`about`, until the block ends."""
    token = _battle.set(str(battle_id or ""))
    try:
        yield
    finally:
        _battle.reset(token)


def process_name() -> str:
    """The process's name in the process table, read from its own command line: web, worker-generate, beat, manage ..."""
    command = " ".join(sys.argv[1:])
    if sys.argv[0].endswith("arena/serve.py"):
        return "web"
    if "celery" in sys.argv[0]:
        node = re.search(r"(?:^| )(?:-n |--hostname[= ])([\w.-]+)@", command)
        return node.group(1) if node else "beat" if re.search(r"(^| )beat( |$)", command) else "celery"
    return "manage" if sys.argv[0].endswith("manage.py") else os.path.basename(sys.argv[0]) or "python"


PROCESS = process_name()
SERVING = PROCESS == "web" or PROCESS == "beat" or PROCESS.startswith("worker-")


def circumstances() -> Mapping[str, str]:
    """What every line of this process and context carries."""
    about_battle = _battle.get()
    return {"process": PROCESS, "battle": about_battle} if about_battle else {"process": PROCESS}


class Line(logs.Line):
    """A line for people."""

    def __init__(self, *_: Any) -> None:
        super().__init__(circumstances)


class Json(logs.Json):
    """A line for machines."""

    def __init__(self, *_: Any) -> None:
        super().__init__(circumstances)


def configure(settings: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG. In serving processes, errors that nobody caught are logged the same way."""
    logging.config.dictConfig(settings)
    if SERVING:
        sys.excepthook = _uncaught
        threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
        sys.unraisablehook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, frames: TracebackType | None) -> None:
    if not issubclass(kind, SystemExit | KeyboardInterrupt):
        log.critical("nobody caught this", exc_info=(kind, error or kind(), frames))


@setup_logging.connect
def leave_our_logging_alone(**_: object) -> None:
    """Celery sets up logging of its own unless somebody takes that over."""


@task_prerun.connect
def forget_the_last_task(**_: object) -> None:
    """A worker's process runs one task after the other in one context."""
    about(None)
