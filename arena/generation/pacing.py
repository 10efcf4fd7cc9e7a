"""Equal pacing of two answers, so that their cadence does not tell which model is which. No Django, no clock of its own.

While both sides are being written, both release the same number of characters per tick: as many as the slower one has. That
costs nobody anything, for the vote waits for both. Three things end the holding: the other side has been told to its end, it
has said nothing yet (the common start has given up on it), or it has been silent for `stall_s`. What was held then flows out
within `drain_s`, evenly, instead of appearing at once. A held character is therefore never later than the end of the other
side, plus `stall_s`, plus `drain_s`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=str)


@dataclass(frozen=True, slots=True)
class Supply:
    """What a side has to give: characters not yet released, whether more may come, whether its reader stopped it."""

    waiting: int
    ended: bool
    stopped: bool = False

    @property
    def told(self) -> bool:
        return self.ended and not self.waiting


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
        held = [key for key in supplies if self._held(key, supplies, now)]
        common = min((supplies[key].waiting for key in held), default=0)
        given = {key: common if key in held else self._drain(key, supplies[key], now, step) for key in supplies}
        for key in held:
            self._out_by[key] = now + self.drain_s
        self._left = {key: supplies[key].waiting - given[key] for key in supplies}
        return given

    def _held(self, key: Key, supplies: Mapping[Key, Supply], now: float) -> bool:
        """Whether a side goes at the other's pace. One that its reader has stopped does not."""
        others = [other for other in supplies if other != key]
        return not supplies[key].stopped and any(self._paces(other, supplies[other], now) for other in others)

    def _paces(self, key: Key, supply: Supply, now: float) -> bool:
        """Whether the other side has to wait for this one."""
        if supply.told or supply.stopped or key not in self._heard:
            return False
        return bool(supply.waiting) or now - self._heard[key] < self.stall_s

    def _drain(self, key: Key, supply: Supply, now: float, step: float) -> int:
        """What a side that nothing holds releases: all of it, or an even part of what had been held."""
        left_s = self._out_by.get(key, now) - now
        return ceil(supply.waiting / max(1.0, left_s / step)) if step > 0 else supply.waiting
