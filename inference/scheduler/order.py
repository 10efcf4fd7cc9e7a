"""What a policy decides, and nothing else: the order in which ready units start. Everything around it is in room.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from inference.scheduler.protocol import CachedLen, Fits, Request, ServiceClass
from inference.scheduler.unit import Unit

WEIGHTS: Mapping[ServiceClass, float] = {
    ServiceClass.BATTLE: 4.0,
    ServiceClass.EXAM: 1.0,
    ServiceClass.SIMULATION: 1.0,
}


def prices(weights: Mapping[ServiceClass, float]) -> dict[ServiceClass, float]:
    """What a unit of cost adds to a counter: 1 / weight, scaled so that the class of largest weight pays 1.

    So counters, slack and quanta are in tokens of that class. Raises ValueError unless each class has a positive weight.
    """
    if any(weights.get(klass, 0) <= 0 for klass in ServiceClass):
        raise ValueError("every service class needs a positive weight")
    top = max(weights.values())
    return {klass: top / weights[klass] for klass in ServiceClass}


@dataclass(slots=True)
class View:
    """What the engine looks like to a policy that is asked for its choice.

    `fits` and `cached_len` are those of `Scheduler.peek`; `adapters` counts the running requests of each running adapter.
    """

    fits: Fits
    cached_len: CachedLen
    now: float
    adapters: Mapping[str, int] = field(default_factory=dict)


class Order:
    """One policy. It sees ready units only: bounds, pairs, holds and preemption are none of its business. The first five
    methods are each policy's own; the others do nothing unless a policy says otherwise.

    `newest_first` is set from outside while early abort finds the system overloaded; `max_counters` bounds what is
    remembered of clients that have nothing here.
    """

    newest_first: bool = False
    max_counters: int = 10_000

    def put(self, unit: Unit) -> None:
        """`unit` is ready to be admitted."""
        raise NotImplementedError

    def take(self, unit: Unit) -> None:
        """A ready unit left without having been admitted."""
        raise NotImplementedError

    def start(self, unit: Unit) -> None:
        """A ready unit left because it is admitted: its client has had its turn."""
        raise NotImplementedError

    def head(self, view: View) -> Unit | None:
        """The unit to admit next, or None when none is ready. It is not skipped if it does not fit."""
        raise NotImplementedError

    def line(self, most: int | None = None) -> Iterator[Unit]:
        """The order of admission if nothing else happened, as far as it can be told; lazy, changes nothing. Whoever wants only
        the first `most` says so, and the policy need not look at all."""
        raise NotImplementedError

    def refuse(self, r: Request, now: float) -> tuple[str, float] | None:
        """Why `r` is not let in, and after how many seconds it would be; None = welcome."""
        return None

    def admitted(self, r: Request, uncached: int) -> None:
        """`r` starts for the first time. Called before `start` of its unit."""

    def decoded(self, r: Request, n: int) -> None:
        """`n` more output tokens of an admitted request."""

    def ended(self, r: Request) -> None:
        """An admitted request is over. No error for one that is unknown."""

    def add_service(self, client: str, n: float) -> None:
        """Service received elsewhere."""

    def counters(self, client: str) -> tuple[float, float] | None:
        """What the policy holds of a client and of its group: (client's counter, group's counter), None when nothing."""
        return None

    def spread(self) -> float:
        """The largest difference between the counters of two groups that have something waiting; 0 without counters."""
        return 0.0
