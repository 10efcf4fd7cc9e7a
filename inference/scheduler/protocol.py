"""The one Protocol every scheduling policy implements.

The engine, the per-deployment queue in `inference.dispatch` and the simulator drive the same objects. Memory test, prefix
match and clock are passed in, never imported: this package knows neither torch nor Django.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from inference.scheduler.figures import Figures


class ServiceClass(StrEnum):
    """What a request is for. A class of a quarter of the weight pays four times as much for a token (battle 4, exam 1,
    simulation 1)."""

    BATTLE = "battle"
    EXAM = "exam"
    SIMULATION = "simulation"


@dataclass(slots=True)
class Request:
    """One waiting generation, as the scheduler sees it.

    `client` is the fairness client (a visitor, or a job's name), `group` its IP prefix; service nests group -> client.
    The `pair_size` requests that share `pair` are one request with summed cost: they are admitted together, and half a
    pair waits at most `PAIR_HOLD_S` for the other half. `input_len` and `max_output` are in tokens, `arrival` and every
    `now` are seconds of one monotonic clock, `order` sorts inside one client (lower first). Requests of equal `prefix`
    begin with the same tokens under the same adapter and salt: a hint that saves look-ups in the prefix cache. `meta` is
    the caller's; policies read `OUTPUT_LEN` of it where an experiment tells them the true output length.
    """

    id: str
    client: str
    group: str = ""
    klass: ServiceClass = ServiceClass.BATTLE
    input_len: int = 0
    max_output: int = 0
    arrival: float = 0.0
    order: float | None = None
    pair: str | None = None
    pair_size: int = 1
    adapter: str | None = None
    prefix: str | None = None
    meta: dict[str, object] = field(default_factory=dict)


PAIR_HOLD_S = 0.050
OUTPUT_LEN = (
    "output_len"  # key of `Request.meta`: the true output length in tokens, for policies that are told the future
)

# fits(requests) -> may these requests (one, or a whole pair) start now? Memory and batch slots, decided by the caller.
Fits = Callable[[Sequence[Request]], bool]
# cached_len(request) -> how many of its input tokens are already in the prefix cache.
CachedLen = Callable[[Request], int]


class Removal(StrEnum):
    """Why a waiting request left without having been admitted."""

    CANCELLED = "cancelled"
    ABORTED = "aborted"
    SHED = "shed"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Answer to `arrive`: accepted, refused (with the reason), or accepted at the price of `shed` waiting requests.

    What was shed has left the scheduler already; its owner only has to be told.
    """

    accepted: bool
    reason: str = ""
    retry_after_s: float = 0.0
    shed: tuple[Request, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """One fairness client for the operators' page.

    `service` is input + 2 x output tokens; `counter` and `group_counter` are what the policy compares (None: it has none);
    `waiting` and `admissions` count units (a pair is one), waits are seconds from arrival to admission.
    """

    client: str
    group: str
    service: float
    counter: float | None
    group_counter: float | None
    waiting: int
    admissions: int
    mean_wait_s: float
    longest_wait_s: float


class Scheduler(Protocol):
    """A policy. All methods are synchronous, O(log n) or better per request, and called from one thread."""

    policy: str  # its name in the registry

    def arrive(self, r: Request, now: float) -> Arrival:
        """Offer a request. Refused when its client's waiting bound is reached; a pair counts once in the bound."""

    def peek(self, fits: Fits, cached_len: CachedLen, now: float) -> tuple[Request, ...]:
        """The next requests to admit together (a single one, or a pair), or () when none may start now.

        Nothing leaves the queue until `admitted` is called for it.
        """

    def wake_at(self, now: float) -> float | None:
        """When to ask again if nothing else happens (a held half pair, a request that becomes overdue), or None."""

    def admitted(self, r: Request, uncached: int) -> None:
        """`r` starts; `uncached` of its input tokens will be computed. It no longer waits."""

    def decoded(self, r: Request, n: int) -> None:
        """`n` more output tokens of a running request."""

    def preempted(self, r: Request) -> None:
        """A running request gave its memory back; it waits again, ahead of its client's others, and is not charged twice."""

    def finished(self, r: Request) -> None:
        """A running request ended, for whatever reason."""

    def removed(self, r: Request, reason: Removal) -> None:
        """A waiting request left (cancelled, aborted, shed). No error for one that does not wait."""

    def expired(self, now: float) -> tuple[Request, ...]:
        """Waiting requests that early abort drops: their first token would come after the objective.

        They have left the scheduler already (`Removal.ABORTED`); their owner only has to be told. Asked before `peek`, in each
        step; `wake_at` counts on it. Always () where no objective is set.
        """

    def upcoming(self, n: int) -> list[Request]:
        """The next `n` requests in the order of `position`, so that their adapters can be paged in meanwhile."""

    def add_service(self, client: str, n: float) -> None:
        """Service received elsewhere (another engine of the same deployment)."""

    def position(self, r: Request) -> int:
        """This waiting request's place in the order of admission, from 1 (an estimate: others may arrive).

        Raises KeyError for a request that does not wait.
        """

    def eta_s(self, r: Request) -> float:
        """Seconds until this waiting request is admitted at the present pace. Raises KeyError as `position` does."""

    def waiting(self) -> int:
        """Waiting requests, pairs counted once."""

    def service(self) -> dict[str, float]:
        """Service per client so far: input + 2 x output tokens (the cost of VTC, section 3)."""

    def clients(self, limit: int) -> list[ClientFigures]:
        """The `limit` most served clients, the most served first; then who waits and has not been served, most waiting first."""

    def figures(self) -> Figures:
        """Aggregates over all clients. O(clients that wait)."""
