"""What each client has received and how long it waited: for `/metrics` (aggregates) and the operators' page (top 50).

Tests: tests/inference/scheduler/test_ledger.py, test_figures.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nlargest

from inference.scheduler.backlog import Backlog
from inference.scheduler.protocol import ClientFigures

OUTPUT_COST = 2.0


@dataclass(slots=True)
class Line:
    """One client: service in input + 2 x output tokens (the cost of VTC, section 3), waits in seconds."""

    group: str = ""
    service: float = 0.0
    admissions: int = 0
    waited_s: float = 0.0
    longest_wait_s: float = 0.0


class Ledger:
    """Lines of at most `most` clients, the least recently served going first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lines: OrderedDict[str, Line] = OrderedDict()

    def _line(self, client: str) -> Line:
        line = self._lines.get(client)
        if line is None:
            line = self._lines[client] = Line()
            if len(self._lines) > self.most:
                self._lines.popitem(last=False)
        else:
            self._lines.move_to_end(client)
        return line

    def serve(self, client: str, cost: float) -> None:
        """`client` received `cost`."""
        self._line(client).service += cost

    def admit(self, client: str, group: str, waited_s: float) -> None:
        """A unit of `client` starts after `waited_s`."""
        line = self._line(client)
        line.group = group
        line.admissions += 1
        line.waited_s += waited_s
        line.longest_wait_s = max(line.longest_wait_s, waited_s)

    def __contains__(self, client: object) -> bool:
        return client in self._lines

    def service(self) -> dict[str, float]:
        """Service per client, the least recently served first."""
        return {client: line.service for client, line in self._lines.items()}

    def most_served(self, limit: int) -> list[tuple[str, Line]]:
        """The `limit` clients of largest service; O(n log limit)."""
        return nlargest(limit, self._lines.items(), key=lambda item: item[1].service)


def client_figures(
    ledger: Ledger, backlog: Backlog, counters: Callable[[str], tuple[float, float] | None], limit: int
) -> list[ClientFigures]:
    """See `Scheduler.clients`; `counters` are those of the policy (`Order.counters`)."""
    lines = ledger.most_served(limit)
    unserved = {client: group for client, group in backlog.clients().items() if client not in ledger}
    most_waiting = nlargest(limit - len(lines), unserved, key=backlog.of_client)
    lines += [(client, Line(unserved[client])) for client in most_waiting]
    found = []
    for client, line in lines:
        counter, group_counter = counters(client) or (None, None)
        figures = ClientFigures(
            client,
            line.group,
            line.service,
            counter,
            group_counter,
            waiting=backlog.of_client(client),
            admissions=line.admissions,
            mean_wait_s=line.waited_s / line.admissions if line.admissions else 0.0,
            longest_wait_s=line.longest_wait_s,
        )
        found.append(figures)
    return found
