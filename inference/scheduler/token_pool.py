"""The memory of the simulated engine: tokens of running requests, and cached prefixes.

A running request owns its tokens except a shared prefix, which is held once for all its users. A prefix without users stays
until its tokens are needed, least recently used first; it lives in the pool itself or, with `cache`, in a part of its own.
The memory test is the VTC artifact's: at every moment at which a running request ends, what all the
others hold by then must stay below the pool, so nothing that was admitted is ever preempted. Prefixes without users do not
count in it: they make room.
Tests: tests/inference/scheduler/test_simulator.py, test_simulator_properties.py (an account of its own beside it).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple


class Claim(NamedTuple):
    """What a request asks of the pool. Steps are decode steps of the engine's own count.

    `finish` is the step at which it ends, `base` its own tokens minus the step of its start: at step s it owns `base` + s.
    """

    finish: int
    base: int
    prefix: str = ""
    prefix_len: int = 0


class Prefix:
    """A cached prefix: how long it is and how many running requests use it."""

    __slots__ = ("length", "users")

    def __init__(self) -> None:
        self.length = self.users = 0


class TokenPool:
    """`capacity` tokens, shared with prefixes unless these have `cache` tokens of their own.

    `peak` is the most that was in use at once, prefixes with users included where they share the pool.
    """

    def __init__(self, capacity: int, cache: int | None = None) -> None:
        if capacity < 1 or (cache is not None and cache < 0):
            raise ValueError("the pool holds at least one token, the cache not less than none")
        self.capacity, self.cache = capacity, cache
        self._claims: list[tuple[int, int]] = []  # (-finish, base), so that who ends last comes first
        self._bases = 0
        self._prefixes: OrderedDict[str, Prefix] = OrderedDict()  # least recently used first
        self._pinned = self._cached = 0  # tokens of prefixes with users; of all prefixes
        self.peak = 0

    def cached_len(self, prefix: str, prefix_len: int) -> int:
        """How many of the first `prefix_len` tokens are here."""
        entry = self._prefixes.get(prefix)
        return 0 if entry is None else min(entry.length, prefix_len)

    def used(self, step: int) -> int:
        """Tokens that cannot be given up at `step`."""
        return self._bases + step * len(self._claims) + (self._pinned if self.cache is None else 0)

    def fits(self, claims: Sequence[Claim]) -> bool:
        """Whether these requests may start together: the peak over all ends stays below the capacity."""
        together = list(self._claims)
        for claim in claims:
            insort(together, (-claim.finish, claim.base))
        pinned = self.pinned_with(claims)
        if self.cache is not None and pinned > self.cache:
            return False
        room = self.capacity - (pinned if self.cache is None else 0)
        bases = 0
        for count, (end, base) in enumerate(together, 1):
            bases += base
            if bases - count * end >= room:
                return False
        return True

    def pinned_with(self, claims: Sequence[Claim]) -> int:
        """Tokens of prefixes that would be in use once these requests run too."""
        fresh: dict[str, int] = {}
        for claim in claims:
            if claim.prefix:
                fresh[claim.prefix] = max(fresh.get(claim.prefix, 0), claim.prefix_len)
        return self._pinned + sum(self._growth(prefix, length) for prefix, length in fresh.items())

    def _growth(self, prefix: str, length: int) -> int:
        """Tokens that become pinned when `prefix` is used with `length`."""
        entry = self._prefixes.get(prefix)
        if entry is None or not entry.users:
            return max(length, 0 if entry is None else entry.length)
        return max(0, length - entry.length)

    def admit(self, claim: Claim, step: int) -> int:
        """Take a claim; what it needs is taken from unused prefixes. Returns how many tokens of its prefix were cached."""
        hit = self.cached_len(claim.prefix, claim.prefix_len)
        if claim.prefix:
            self._pin(claim.prefix, claim.prefix_len)
        insort(self._claims, (-claim.finish, claim.base))
        self._bases += claim.base
        self.make_room(step)
        return hit

    def _pin(self, prefix: str, length: int) -> None:
        self._pinned += self._growth(prefix, length)
        entry = self._prefixes.setdefault(prefix, Prefix())
        self._cached += max(0, length - entry.length)
        entry.length = max(entry.length, length)
        entry.users += 1
        self._prefixes.move_to_end(prefix)

    def release(self, claim: Claim) -> None:
        """A request ended: its own tokens are free, its prefix stays cached. Raises KeyError for a claim that is not here."""
        found = bisect_left(self._claims, (-claim.finish, claim.base))
        if self._claims[found : found + 1] != [(-claim.finish, claim.base)]:
            raise KeyError(claim)
        del self._claims[found]
        self._bases -= claim.base
        if claim.prefix:
            entry = self._prefixes[claim.prefix]
            entry.users -= 1
            if not entry.users:
                self._pinned -= entry.length
            self._prefixes.move_to_end(claim.prefix)

    def make_room(self, step: int) -> bool:
        """Give up prefixes until what is used at `step` fits. False if even without them it does not."""
        used = self.used(step)
        if used > self.capacity:
            return False
        self.peak = max(self.peak, used)
        own = used - self._pinned if self.cache is None else 0
        self._evict(own + self._cached - (self.capacity if self.cache is None else self.cache))
        return True

    def _evict(self, excess: int) -> None:
        if excess <= 0:
            return
        for prefix in [name for name, entry in self._prefixes.items() if not entry.users]:
            length = self._prefixes.pop(prefix).length
            self._cached -= length
            excess -= length
            if excess <= 0:
                return
