"""How fair a run was: the metrics of the VTC artifact, and a monitor that holds a policy to its bound.

`service_differences` and `accumulated_differences` are the artifact's definitions: the cost of a request,
input + 2 x output tokens, counts as received evenly between its first token and its end; at a tick, S is a client's
service rate in a window and R the rate of the cost that it asked for there.
Tests: tests/inference/scheduler/test_fairness.py (reproduces the published figures where the data is present).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from inference.scheduler.protocol import Request
from inference.scheduler.simulator import Served

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
    return [
        Reply(
            s.job.client, s.job.at, s.first_token, s.end, INPUT_COST * s.job.input_len + OUTPUT_COST * s.job.output_len
        )
        for s in served
        if s.first_token is not None and s.end is not None
    ]


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


class BacklogMonitor:
    """The largest difference in service that two clients had in any interval in which both were backlogged throughout.

    An observer of the simulator. `cost(r, uncached)` is what an admission is worth (default: its uncached tokens), a token of
    output is worth `output_cost`; `key` names who is compared (default: the client). O(clients^2) per event.
    """

    def __init__(
        self,
        cost: Callable[[Request, int], float] = lambda r, uncached: uncached,
        output_cost: float = OUTPUT_COST,
        key: Callable[[Request], str] = lambda r: r.client,
    ) -> None:
        self._cost, self._output_cost, self._key = cost, output_cost, key
        self.service: dict[str, float] = {}
        self._waiting: dict[str, int] = {}
        self._range: dict[tuple[str, str], list[float]] = {}
        self.worst = 0.0

    def arrived(self, r: Request, now: float) -> None:
        """`r` waits from now on."""
        key = self._key(r)
        self.service.setdefault(key, 0.0)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        if self._waiting[key] == 1:
            self._settle()

    def left(self, r: Request, now: float) -> None:
        """`r` waits no more."""
        key = self._key(r)
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]
            for pair in [pair for pair in self._range if key in pair]:
                del self._range[pair]

    def admitted(self, r: Request, uncached: int, now: float) -> None:
        """`r` starts."""
        self.left(r, now)
        self.service[self._key(r)] += self._cost(r, uncached)
        self._settle()

    def decoded(self, running: Iterable[Request], now: float) -> None:
        """One token for each of these."""
        for r in running:
            self.service[self._key(r)] += self._output_cost
        self._settle()

    def _settle(self) -> None:
        for a, b in combinations(sorted(self._waiting), 2):
            difference = self.service[a] - self.service[b]
            low, high = self._range.setdefault((a, b), [difference, difference])
            if difference < low:
                self._range[a, b][0] = low = difference
            elif difference > high:
                self._range[a, b][1] = high = difference
            self.worst = max(self.worst, high - low)
