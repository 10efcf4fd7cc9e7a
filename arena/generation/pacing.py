"""Equal pacing of two answers, so that their cadence does not tell which model is which. No Django, no clock of its own.

While both sides are being written, both release the same number of characters per tick: as many as the slower one has. That
costs nobody anything, for the vote waits for both. Three things end the holding: the other side has been told to its end, it
has said nothing yet (the common start has given up on it), or it has been silent for `stall_s`. What was held then flows out
within `drain_s`, evenly, instead of appearing at once. A held character is therefore never later than the end of the other
side, plus `stall_s`, plus `drain_s`.
"""

from collections.abc import Mapping
from math import ceil
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=str)


class Supply(NamedTuple):
    """What a side has to give: characters not yet released, whether more may come, whether its reader stopped it."""

    waiting: int
    ended: bool
    stopped: bool = False


class Pacer(Generic[Key]):
    """Asked once per tick; remembers when each side was last heard, and until when what was held has to be out."""

    def __init__(self, stall_s: float, drain_s: float = 0.5) -> None:
        self.stall_s, self.drain_s = stall_s, drain_s
        self._left: dict[Key, int] = {}
        self._heard: dict[Key, float] = {}
        self._out_by: dict[Key, float] = {}
        self._before = 0.0

    def release(self, supplies: Mapping[Key, Supply], now: float) -> dict[Key, int]:
        """Characters that each side releases at this tick; `now` is in seconds and never goes back."""
        for key, supply in supplies.items():
            if supply.waiting > self._left.get(key, 0):
                self._heard[key] = now
        step, self._before = now - self._before, now
        pacing = {key for key, supply in supplies.items() if self._paces(key, supply, now)}
        held = {key for key, supply in supplies.items() if pacing - {key} and not supply.stopped}
        common = min((supplies[key].waiting for key in held), default=0)
        given = {key: common if key in held else self._drain(key, supplies[key], now, step) for key in supplies}
        self._out_by.update(dict.fromkeys(held, now + self.drain_s))
        self._left = {key: supplies[key].waiting - given[key] for key in supplies}
        return given

    def _paces(self, key: Key, supply: Supply, now: float) -> bool:
        """Whether other sides have to wait for this one. One that its reader has stopped neither waits nor is waited for."""
        if supply.stopped or key not in self._heard:
            return False
        return bool(supply.waiting) or (not supply.ended and now - self._heard[key] < self.stall_s)

    def _drain(self, key: Key, supply: Supply, now: float, step: float) -> int:
        """What a side that nothing holds releases: all of it, or an even part of what had been held."""
        left_s = self._out_by.get(key, now) - now
        return ceil(supply.waiting / max(1.0, left_s / step)) if step > 0 else supply.waiting
