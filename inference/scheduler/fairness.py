"""How fair a run was: the metrics of the VTC artifact, and a monitor that holds a policy to its bound.

`service_differences` and `accumulated_differences` are the artifact's definitions: the cost of a request, input + 2 x output
tokens, counts as received evenly between its first token and its end; at a tick, S is a client's service rate in a window and R
the rate of the cost that it asked for there (windows are half open).
Tests: tests/inference/scheduler/test_fairness.py (reproduces the published figures where the data is present).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from inference.scheduler.engine_model import Served
from inference.scheduler.protocol import PAIR_HOLD_S, Request

INPUT_COST, OUTPUT_COST = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A served request: who, when (seconds) and what it cost."""

    client: str
    asked: float
    first_token: float
    end: float
    cost: float


@dataclass(frozen=True, slots=True)
class Window:
    """Where to look: `ticks` - 1 windows of `width_s` seconds that begin evenly within [0, duration - warm-up)."""

    duration_s: float = 600.0
    warmup_s: float = 30.0
    width_s: float = 60.0
    ticks: int = 20

    def offsets(self) -> list[float]:
        """The ticks, in seconds after the warm-up."""
        return [(self.duration_s - self.warmup_s) / self.ticks * i for i in range(1, self.ticks)]

    @classmethod
    def over(cls, seconds: float) -> Window:
        """The artifact's proportions for a run whose arrivals last `seconds`."""
        return cls(seconds, seconds / 20, seconds / 10)


def replies(served: Iterable[Served]) -> list[Reply]:
    """What a run served; refused and empty ones left out."""
    found = []
    for s in served:
        if s.first_token is not None and s.end is not None:
            cost = INPUT_COST * s.job.input_len + OUTPUT_COST * s.job.output_len
            found.append(Reply(s.job.client, s.job.at, s.first_token, s.end, cost))
    return found


def _received(reply: Reply, begin: float, end: float) -> float:
    length = reply.end - reply.first_token
    if reply.end < 1 or length < 1e-5:  # the artifact's: nothing to spread the cost over
        return 0.0
    return reply.cost * max(0.0, min(end, reply.end) - max(begin, reply.first_token)) / length


def service_differences(runs: Sequence[Reply], window: Window) -> list[float]:
    """Per tick the sum over clients of min(S_max - S, |R - S|), in cost per second."""
    clients = {reply.client for reply in runs}
    found = []
    for tick in window.offsets():
        middle = tick + window.warmup_s
        begin, end = middle - window.width_s / 2, middle + window.width_s / 2
        got, asked = dict.fromkeys(clients, 0.0), dict.fromkeys(clients, 0.0)
        for reply in runs:
            if reply.first_token < end and reply.end > begin:
                got[reply.client] += _received(reply, begin, end)
            if begin <= reply.asked < end:
                asked[reply.client] += reply.cost
        most = max(got.values(), default=0.0)
        found.append(sum(min(most - got[c], abs(asked[c] - got[c])) for c in clients) / window.width_s)
    return found


def accumulated_differences(runs: Sequence[Reply], window: Window) -> list[float]:
    """Per tick the largest minus the smallest service of a client since the warm-up; says something while all are backlogged."""
    found = []
    for tick in window.offsets():
        got = dict.fromkeys((reply.client for reply in runs), 0.0)
        for reply in runs:
            got[reply.client] += _received(reply, window.warmup_s, window.warmup_s + tick)
        found.append(max(got.values()) - min(got.values()))
    return found


Node = tuple[str, str]  # whose child, name: only children of one parent are compared
Levels = Callable[[Request], Sequence[Node]]


def nested(r: Request) -> Sequence[Node]:
    """As counters nest: groups (a client without one stands alone), and the clients of a group."""
    group = f"group {r.group}" if r.group else f"client {r.client}"
    return (("", group), (group, r.client)) if r.group else (("", group),)


class BacklogMonitor:
    """The largest difference in service that two siblings had in any interval in which both were backlogged throughout.

    An observer of the simulator. `cost(r, n_in, n_out)` is what tokens of `r` are worth, n_in being those of its input that
    were computed. Half a pair counts as waiting from when its other half is there, or its hold is over. O(nodes^2) per event.
    """

    def __init__(
        self,
        cost: Callable[[Request, int, int], float] = lambda r, n_in, n_out: INPUT_COST * n_in + OUTPUT_COST * n_out,
        levels: Levels = nested,
        pair_hold_s: float = PAIR_HOLD_S,
    ) -> None:
        self._cost, self._levels, self._hold_s = cost, levels, pair_hold_s
        self.service: dict[Node, float] = {}
        self._waiting: dict[Node, int] = {}
        self._range: dict[tuple[Node, Node], list[float]] = {}
        self._held: dict[tuple[str, str], tuple[float, Request]] = {}
        self._seen: set[tuple[str, str]] = set()  # pairs of which a half was there before
        self.worst = 0.0

    def arrived(self, r: Request, now: float) -> None:
        """`r` waits from now on, or is held."""
        self._release(now)
        key = (r.client, r.pair or "")
        if r.pair is not None and r.pair_size > 1 and key not in self._seen:
            self._seen.add(key)
            self._held[key] = (now + self._hold_s, r)
            return
        for ready in [self._held.pop(key)[1], r] if key in self._held else [r]:
            self._ready(ready)

    def _release(self, now: float) -> None:
        for key in [key for key, (until, _) in self._held.items() if until <= now]:
            self._ready(self._held.pop(key)[1])

    def _ready(self, r: Request) -> None:
        for node in self._levels(r):
            self.service.setdefault(node, 0.0)
            self._waiting[node] = self._waiting.get(node, 0) + 1
        self._settle()

    def left(self, r: Request, now: float) -> None:
        """`r` waits no more."""
        self._release(now)
        if self._held.get((r.client, r.pair or ""), (0.0, None))[1] is r:
            del self._held[r.client, r.pair or ""]
            return
        for node in self._levels(r):
            self._waiting[node] -= 1
            if not self._waiting[node]:
                del self._waiting[node]
                self._range = {pair: seen for pair, seen in self._range.items() if node not in pair}

    def admitted(self, r: Request, uncached: int, now: float) -> None:
        """`r` starts."""
        self.left(r, now)
        self._serve(r, self._cost(r, uncached, 0))
        self._settle()

    def decoded(self, running: Iterable[Request], now: float) -> None:
        """One token for each of these."""
        self._release(now)
        for r in running:
            self._serve(r, self._cost(r, 0, 1))
        self._settle()

    def _serve(self, r: Request, cost: float) -> None:
        for node in self._levels(r):
            self.service[node] = self.service.get(node, 0.0) + cost

    def _settle(self) -> None:
        for a, b in combinations(sorted(self._waiting), 2):
            if a[0] != b[0]:
                continue
            difference = self.service[a] - self.service[b]
            seen = self._range.setdefault((a, b), [difference, difference])
            if difference < seen[0]:
                seen[0] = difference
            elif difference > seen[1]:
                seen[1] = difference
            self.worst = max(self.worst, seen[1] - seen[0])
