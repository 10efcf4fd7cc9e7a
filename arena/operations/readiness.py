"""Can this installation serve? Every part is asked within a bound, all at once, and at most once a second.

Not ready (503): no database, no Valkey, unapplied migrations, no living worker-generate, worker-batch or beat, or every endpoint
that could answer is down. Degraded (still ready): one endpoint of several is down or draining, none is configured, or the
figures about them are old. A broken engine alone must not take the board and everybody's pages out of a proxy's rotation.
"""

import importlib
import pkgutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, connections, transaction

from arena.operations import heartbeat, snapshot
from inference.logs import describe

FRESH_S = 1.0
OK, DEGRADED, FAILED = "ok", "degraded", "failed"


@dataclass(frozen=True, slots=True)
class Part:
    state: str
    said: str = ""
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """`parts` is for operators only."""

    parts: dict[str, Part]

    @property
    def ready(self) -> bool:
        return all(part.state != FAILED for part in self.parts.values())

    @property
    def state(self) -> str:
        states = {part.state for part in self.parts.values()}
        return FAILED if FAILED in states else DEGRADED if DEGRADED in states else OK


class Checks:
    """The checks of one process: asked anew when the last report is older than FRESH_S, by one thread at a time."""

    def __init__(self) -> None:
        self.lock, self.report, self.at = threading.Lock(), Report({}), -FRESH_S
        self.pool = ThreadPoolExecutor(
            6, thread_name_prefix="ready"
        )  # a thread that hangs in a check delays no request

    def now(self) -> Report:
        with self.lock:
            if monotonic() - self.at >= FRESH_S:
                self.report, self.at = self._ask(), monotonic()
            return self.report

    def _ask(self) -> Report:
        asked = {name: (monotonic(), self.pool.submit(check)) for name, check in CHECKS.items()}
        until = monotonic() + settings.READY_TIMEOUT_S
        parts: dict[str, Part] = {}
        for name, (begun, future) in asked.items():
            parts |= _answer(name, begun, future, until)
        return Report(parts)


def _answer(name: str, begun: float, future: "Future[dict[str, Part]]", until: float) -> dict[str, Part]:
    try:
        parts = future.result(max(0.0, until - monotonic()))
    except TimeoutError:
        future.cancel()
        return {name: Part(FAILED, f"no answer within {settings.READY_TIMEOUT_S:g} s")}
    except Exception as error:  # whatever is broken, the answer is "not ready" and says what
        return {name: Part(FAILED, describe(error))}
    ms = round((monotonic() - begun) * 1000, 1)
    return {key: Part(part.state, part.said, ms) for key, part in parts.items()}


def _database() -> dict[str, Part]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_milliseconds()])
            cursor.execute("SELECT app, name FROM django_migrations")
            missing = on_disk() - set(cursor.fetchall())
    finally:
        connections.close_all()  # gives the thread's connection back to the pool
    said = ", ".join(".".join(one) for one in sorted(missing)[:5])
    return {"database": Part(OK), "migrations": Part(FAILED, f"not applied: {said}") if missing else Part(OK)}


def _milliseconds() -> str:
    return str(max(1, int(settings.READY_TIMEOUT_S * 1000)))


@cache
def on_disk() -> set[tuple[str, str]]:
    """Every migration in the code, as (app, name), without importing any."""
    found: set[tuple[str, str]] = set()
    for app in apps.get_app_configs():
        try:
            package = importlib.import_module(f"{app.name}.migrations")
        except ModuleNotFoundError:
            continue
        found |= {(app.label, one.name) for one in pkgutil.iter_modules(package.__path__) if one.name[0] not in "_~"}
    return found


def _valkey() -> dict[str, Part]:
    heartbeat.client(settings.REDIS_URL).ping()
    return {"valkey": Part(OK)}


def _processes() -> dict[str, Part]:
    known = heartbeat.beats()
    return {role: _process(role, known) for role in heartbeat.VITAL}


def _process(role: str, known: list[heartbeat.Beat]) -> Part:
    alive = heartbeat.living(known, role)
    if alive:
        return Part(OK, f"{len(alive)} alive, last heard {min(beat.age_s for beat in alive):.0f} s ago")
    heard = [beat.age_s for beat in known if beat.process.startswith(role)]
    return Part(FAILED, f"last heard {min(heard):.0f} s ago" if heard else "never heard of")


def _engines() -> dict[str, Part]:
    told = snapshot.read()
    if told is None or told.old:
        return {"engines": Part(DEGRADED, "nothing is known: worker-batch has not looked lately")}
    return {"engines": judge(told.data["engines"])}


def judge(engines: list[dict[str, Any]]) -> Part:
    """Endpoints that we cannot look into (`unknown`) count as serving: their health shows in the replies."""
    if not engines:
        return Part(DEGRADED, "no endpoint is enabled")
    bad = [one["name"] for one in engines if one["state"] not in ("up", "unknown")]
    if not bad:
        return Part(OK, f"{len(engines)} of {len(engines)} endpoints")
    down = all(one["state"] == "down" for one in engines)
    return Part(FAILED if down else DEGRADED, "not up: " + ", ".join(bad))


CHECKS: dict[str, Callable[[], dict[str, Part]]] = {
    "database": _database,
    "valkey": _valkey,
    "processes": _processes,
    "engines": _engines,
}
checks = Checks()
