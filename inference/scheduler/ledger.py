"""What each client has received and how long it waited: for `/metrics` (aggregates) and the operators' page (top 50)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from heapq import nlargest

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

    def service(self) -> dict[str, float]:
        """Service per client, the least recently served first."""
        return {client: line.service for client, line in self._lines.items()}

    def most_served(self, limit: int) -> list[tuple[str, Line]]:
        """The `limit` clients of largest service; O(n log limit)."""
        return nlargest(limit, self._lines.items(), key=lambda item: item[1].service)
