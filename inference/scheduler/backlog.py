"""Who has the largest backlog: the question asked when a full queue must shed, answered without a search over all.

Tests: tests/inference/scheduler/test_backlog.py.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from inference.scheduler.protocol import Request
from inference.scheduler.unit import GroupKey, Unit, group_key

K = TypeVar("K", bound=Hashable)


class Tally(Generic[K]):
    """Counts per key with the set of largest keys at hand (keys of equal count share a bucket)."""

    def __init__(self) -> None:
        self._count: dict[K, int] = {}
        self._buckets: dict[int, dict[K, None]] = {}
        self._top = 0

    def __getitem__(self, key: K) -> int:
        return self._count.get(key, 0)

    def __len__(self) -> int:
        return len(self._count)

    def add(self, key: K) -> None:
        """One more for `key`."""
        self._move(key, self[key] + 1)

    def remove(self, key: K) -> None:
        """One less for `key`. Raises KeyError where it has none."""
        self._move(key, self._count[key] - 1)

    def largest(self) -> list[K]:
        """The keys that share the largest count, the one that reached it last at the end; [] when nothing is counted."""
        return list(self._buckets.get(self._top, ()))

    def _move(self, key: K, to: int) -> None:
        was = self._count.pop(key, 0)
        if was:
            del self._buckets[was][key]
            if not self._buckets[was]:
                del self._buckets[was]
        if to:
            self._count[key] = to
            self._buckets.setdefault(to, {})[key] = None
        # Counts change by one, so the top is the new count, the old one, or one below it.
        if to > self._top:
            self._top = to
        elif self._top not in self._buckets:
            self._top = to if was == self._top else 0


class Backlog:
    """Waiting units per group, per client in its group, and per client; and who makes room when the queue is full."""

    def __init__(self) -> None:
        self._groups: Tally[GroupKey] = Tally()
        self._clients: dict[GroupKey, Tally[str]] = {}
        self._units: dict[tuple[GroupKey, str], set[Unit]] = {}
        self._of_client: dict[str, int] = {}
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def of_client(self, client: str) -> int:
        """Waiting units of `client`, whatever its group: changing networks earns no second bound."""
        return self._of_client.get(client, 0)

    @property
    def active(self) -> int:
        """How many clients wait."""
        return len(self._of_client)

    def clients(self) -> dict[str, str]:
        """Whoever waits, with the group of one of its units ("" where it names none)."""
        return {client: key if kind == "group" else "" for (kind, key), client in self._units}

    def add(self, unit: Unit) -> None:
        """Count a waiting unit."""
        group, client = group_key(unit.head), unit.head.client
        self._groups.add(group)
        self._clients.setdefault(group, Tally()).add(client)
        self._units.setdefault((group, client), set()).add(unit)
        self._of_client[client] = self.of_client(client) + 1
        self._total += 1

    def remove(self, unit: Unit) -> None:
        """A counted unit no longer waits."""
        group, client = group_key(unit.head), unit.head.client
        self._groups.remove(group)
        self._clients[group].remove(client)
        if not len(self._clients[group]):
            del self._clients[group]
        self._units[group, client].remove(unit)
        if not self._units[group, client]:
            del self._units[group, client]
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]
        self._total -= 1

    def victim(self, r: Request) -> Unit | None:
        """The unit that makes room for `r`: the last one of the largest client of the largest group.

        `r` counts as waiting while the largest are sought and loses ties (who waits already stays), so None says that `r`
        itself has to go.
        """
        mine = group_key(r)
        chosen = next(reversed(self._groups.largest()), mine)
        if self._groups[mine] + 1 >= self._groups[chosen]:
            chosen = mine
        clients = self._clients.get(chosen)
        if clients is None:
            return None
        client = clients.largest()[-1]
        if chosen == mine and clients[r.client] + 1 >= clients[client]:
            return None
        return max(self._units[chosen, client], key=lambda unit: unit.key)
