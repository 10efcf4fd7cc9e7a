"""What a visitor with one question waits while a flood is served: the whole product, from the form to the engine.

The stack runs with the real engine and the demo's model, rate limits off, two address prefixes, RUNNING sequences in the batch.
From one prefix FLOODERS cookies keep OPEN turns open together, each replaced by a new battle as soon as it ends; from the other
a visitor asks one question after another, VISITS times. Replies are at most TOKENS long. Both policies see the same.

- wait: from the arrival of the visitor's pair at the scheduler to its admission, as the engine tells it (/v1/clients).
- bound: from that arrival until two more requests have completed (a pair needs two free slots), plus one step of the engine, on
  average. Completions are read off the engine's counters every POLL_S.
- front: from the form's POST to that arrival: web, Celery, worker and HTTP client, where nothing may queue.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookies import SimpleCookie
from math import ceil
from urllib.parse import urlencode
from uuid import uuid4

import django
from django.apps import apps

if not apps.ready:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()

from django.db import connections  # noqa: E402

from arena import registry  # noqa: E402
from arena.models import Battle, Contestant, Turn  # noqa: E402
from arena.models.battles import TurnState  # noqa: E402
from tests.bench._reader import TOKEN  # noqa: E402
from tests.stack import ENGINE_KEY, Stack  # noqa: E402

FLOODERS, OPEN, RUNNING, TOKENS = 8, 64, 16, 64
VISITS = {"": 20, "fcfs": 5}  # by policy; "" is the engine's default
POLL_S = 0.02
PATIENCE_S = 180.0
FLOOD_FROM, VISIT_FROM = "198.51.100.7", "203.0.113.9"
FLOOD, VISIT = (
    "Describe, at length, market day number {n} in a small town.",
    "Name three things to see in Rome, number {n}.",
)
ENV = {
    **dict.fromkeys(("AGON_LIMIT_PREFIX_BURST", "AGON_LIMIT_PREFIX_PER_MINUTE"), "1000000"),
    **dict.fromkeys(("AGON_LIMIT_VISITOR_BURST", "AGON_LIMIT_VISITOR_PER_MINUTE"), "1000000"),
    "AGON_OPEN_TURNS_PER_VISITOR": str(OPEN),
    "AGON_TRUSTED_PROXIES": "127.0.0.1",
}


@dataclass(eq=False)
class Visitor:
    """One cookie behind one address."""

    port: int
    address: str
    cookie: str = ""

    def ask(self, prompt: str) -> str:
        """Start a battle; its id."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        form = {"prompt": prompt, "key": str(uuid4()), "agree_terms": "on", "csrfmiddlewaretoken": TOKEN}
        cookie = f"csrftoken={TOKEN}" + (f"; agon_visitor={self.cookie}" if self.cookie else "")
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/battles/", urlencode(form), headers | {"X-Forwarded-For": self.address})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 303:
            raise RuntimeError(f"a battle was refused: {answer.status} {body[-300:]!r}")
        cookies = SimpleCookie("; ".join(answer.headers.get_all("Set-Cookie") or []))
        if "agon_visitor" in cookies:
            self.cookie = cookies["agon_visitor"].value
        return answer.headers["Location"].split("/")[2]


class Flood(threading.Thread):
    """Keeps `most` turns open until told to end: each visitor as many, a new battle for each that has ended.

    `full` is set when all are open for the first time, or `failure` says why they never will be.
    """

    def __init__(self, port: int, most: int) -> None:
        super().__init__(daemon=True)
        self.open: dict[Visitor, set[str]] = {Visitor(port, FLOOD_FROM): set() for _ in range(FLOODERS)}
        self.each = most // FLOODERS
        self.full, self.over = threading.Event(), threading.Event()
        self.failure: Exception | None = None
        self._number = itertools.count(1)

    def run(self) -> None:
        try:
            with ThreadPoolExecutor(4) as senders:
                while not self.over.wait(0.1):
                    done = ended(battle for battles in self.open.values() for battle in battles)
                    list(senders.map(lambda visitor: self._fill(visitor, done), self.open))
                    self.full.set()
        except Exception as error:  # the main thread tells it
            self.failure = error
            self.full.set()
        finally:
            connections.close_all()

    def _fill(self, visitor: Visitor, done: set[str]) -> None:
        self.open[visitor] -= done
        while len(self.open[visitor]) < self.each and not self.over.is_set():
            self.open[visitor].add(visitor.ask(FLOOD.format(n=next(self._number))))

    def stop(self) -> None:
        """Open no more, and end. Raises what has kept it from doing its work."""
        self.over.set()
        self.join(PATIENCE_S)
        if self.failure is not None:
            raise self.failure


def ended(battles: Iterable[str]) -> set[str]:
    """Which of these have no open turn any more."""
    done = Turn.objects.filter(battle__in=list(battles), state=TurnState.DONE)
    return {str(battle) for battle in done.values_list("battle_id", flat=True)}


@dataclass(frozen=True)
class Note:
    """What the engine says of itself at a moment; `admitted` and `waited_s` are the watched client's."""

    at: float
    completed: int
    running: int
    admitted: int
    waited_s: float
    step_s: float


class Watch(threading.Thread):
    """Asks the engine all the time; it answers between two steps, so a note is at most a step late."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self.client = ""
        self.notes: list[Note] = []
        self.over = threading.Event()
        self._socket = str(stack.var / "run" / "engine.sock")

    def run(self) -> None:
        while not self.over.wait(POLL_S):
            self.notes.append(self.note())

    def note(self) -> Note:
        """The present."""
        told = figures(self._ask("/metrics").decode())
        clients = json.loads(self._ask("/v1/clients"))["clients"]
        mine = next((one for one in clients if one["client"] == self.client), {"admissions": 0, "mean_wait_s": 0.0})
        completed = sum(int(value) for name, value in told.items() if name.startswith("core_finished_"))
        step_s = told["step_seconds_total"] / max(told["steps_total"], 1)
        waited_s = mine["admissions"] * mine["mean_wait_s"]
        return Note(time.monotonic(), completed, int(told["core_running"]), mine["admissions"], waited_s, step_s)

    def _ask(self, path: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(30)
            engine.connect(self._socket)
            key = f"Authorization: Bearer {ENGINE_KEY}"
            engine.sendall(f"GET {path} HTTP/1.1\r\nHost: e\r\n{key}\r\nConnection: close\r\n\r\n".encode())
            reply = http.client.HTTPResponse(engine)
            reply.begin()
            return reply.read()

    def until(self, condition: Callable[[Note], bool]) -> Note:
        """The first note from now on that meets the condition."""
        deadline, begin = time.monotonic() + PATIENCE_S, len(self.notes)
        while time.monotonic() < deadline:
            for note in self.notes[begin:]:
                if condition(note):
                    return note
                begin += 1
            time.sleep(POLL_S / 2)
        raise TimeoutError(f"nothing of the kind within {PATIENCE_S} s; last: {self.notes[-1:]}")


def figures(page: str) -> dict[str, float]:
    """Figures without labels of the engine's /metrics, by their names without the prefix."""
    lines = (line.split() for line in page.splitlines() if not line.startswith("#") and "{" not in line)
    return {name.removeprefix("agon_engine_"): float(value) for name, value in lines}


@dataclass(frozen=True)
class Visit:
    """Seconds; see the module."""

    wait_s: float
    bound_s: float
    front_s: float


def visit(visitor: Visitor, watch: Watch, number: int) -> Visit:
    """One question of the visitor, from the form to the end of its answers."""
    before = watch.until(lambda note: True)
    posted = time.monotonic()
    battle = visitor.ask(VISIT.format(n=number))
    if not watch.client:
        watch.client = f"visitor:{Battle.objects.get(pk=battle).visitor_id}"
    admitted = watch.until(lambda note: note.admitted > before.admitted)
    wait_s = admitted.waited_s - before.waited_s
    arrived = max(posted, admitted.at - wait_s)
    done = max((note.completed for note in watch.notes if note.at <= arrived), default=0)
    while battle not in ended([battle]):
        time.sleep(0.1)
    second = next(note for note in watch.notes if note.completed >= done + 2 and note.at > arrived)
    return Visit(wait_s, second.at - arrived + admitted.step_s, arrived - posted)


def visits(
    policy: str, count: int, most: int = OPEN, look: Callable[[Stack], None] = lambda stack: None
) -> list[Visit]:
    """`count` questions beside the flood, under one policy of the engine ("" = its default).

    `look` is called before the first question and after the last.
    """
    flags = f"--max-running {RUNNING}" + (f" --scheduler {policy}" if policy else "")
    with Stack("real", ENV | {"AGON_ENGINE_FLAGS": flags}) as stack, stack.orm():
        for contestant in list(Contestant.objects.drawable()):
            registry.revise(contestant, max_tokens=TOKENS)
        flood, watch = Flood(stack.port, most), Watch(stack)
        watch.start()
        flood.start()
        try:
            flood.full.wait(PATIENCE_S)
            watch.until(lambda note: note.running == RUNNING)
            visitor = Visitor(stack.port, VISIT_FROM)
            look(stack)
            seen = [visit(visitor, watch, number) for number in range(count)]
            look(stack)
            return seen
        finally:
            flood.stop()
            watch.over.set()
            watch.join()


def p95(values: Iterable[float]) -> float:
    """The smallest value that at least 95 % do not exceed."""
    ranked = sorted(values)
    return ranked[ceil(0.95 * len(ranked)) - 1]


def keys(smoke: bool) -> dict[str, object]:
    """The keys of the benchmark; null at toy size, for two installations of the product take a minute."""
    names = ("e2e_wait_p95_s", "e2e_wait_bound_s", "e2e_wait_p95_fcfs_s")
    if smoke:
        why = "not measured in a smoke run; tests/faults/test_fair_share.py runs it"
        return dict.fromkeys(names) | {f"why_{name}": why for name in names}
    found = {policy: visits(policy, count) for policy, count in VISITS.items()}
    ours = found[""]
    for policy, seen in found.items():
        print(
            policy or "default", "  ".join(f"{v.wait_s:.2f}/{v.bound_s:.2f}/{v.front_s:.2f}" for v in seen), flush=True
        )
    return {
        "e2e_wait_p95_s": round(p95(v.wait_s for v in ours), 3),
        "e2e_wait_bound_s": round(p95(v.bound_s for v in ours), 3),
        "e2e_wait_p95_fcfs_s": round(p95(v.wait_s for v in found["fcfs"]), 3),
        "e2e_front_p95_s": round(p95(v.front_s for v in ours), 3),
        "e2e_beyond_own_bound": sum(v.wait_s > v.bound_s for v in ours),
        "e2e_visits": len(ours),
    }
