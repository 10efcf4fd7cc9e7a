"""The queue in front of one deployment whose endpoint has no scheduler of ours: the same policy object as in our engine.

An endpoint that schedules for itself (`has_scheduler`) gets every request at once: a queue here would hide its backlog.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from inference.events import Event, Finished, GenerationFailed, Queued, Text, Wanted
from inference.health import Health
from inference.scheduler.protocol import Removal, Request, Scheduler, ServiceClass
from inference.target import Target

FIRST_NEWS_S = 0.1  # a wait shorter than this is not worth a status
NEWS_S = 1.0


class Lane:
    """A deployment's requests in flight and in line. All methods run on one loop; nothing here blocks it."""

    def __init__(self, target: Target, scheduler: Scheduler, health: Health) -> None:
        self.target, self.scheduler, self.health = target, scheduler, health
        self.running = 0
        self.paused_until = 0.0
        self._places: dict[str, Place] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._number = 0

    def load(self) -> float:
        """Requests in flight and in line, relative to what may be in flight."""
        return (self.running + self.scheduler.waiting()) / self.target.in_flight

    def idle(self) -> bool:
        return not self.running and not self._places

    def place(self, wanted: Wanted, order: float, alone: bool) -> Place:
        """A place for one request: enter it, wait until admitted, leave it. `alone` = do not hold it for its pair."""
        self._number += 1
        request = Request(
            id=str(self._number),
            client=wanted.client,
            group=wanted.group,
            klass=ServiceClass(wanted.klass),
            input_len=wanted.input_estimate(),
            max_output=int(wanted.sampling.get("max_tokens") or 0),
            arrival=asyncio.get_running_loop().time(),
            order=order,
            pair=None if alone else wanted.pair,
            pair_size=1 if alone else wanted.pair_size,
            adapter=wanted.adapter,
        )
        return Place(self, request)

    def pause(self, seconds: float) -> None:
        """Start nothing for a while: the endpoint has said that it is too much."""
        self.paused_until = max(self.paused_until, asyncio.get_running_loop().time() + seconds)

    def arrive(self, place: Place) -> None:
        """Queue a place. Raises GenerationFailed("busy") at a waiting bound."""
        now = asyncio.get_running_loop().time()
        arrival = self.scheduler.arrive(place.request, now)
        if not arrival.accepted:
            raise GenerationFailed("busy", arrival.retry_after_s)
        self._places[place.request.id] = place
        for request in arrival.shed:
            shed = self._places.pop(request.id)
            shed.admission.set_exception(GenerationFailed("busy", arrival.retry_after_s or NEWS_S))
        self.pump()

    def leave(self, place: Place) -> None:
        """A place is given up, waiting or running."""
        if self._places.pop(place.request.id, None) is not None:
            self.scheduler.removed(place.request, Removal.ABORTED)
        elif place.running:
            self.running -= 1
            self.scheduler.finished(place.request)
        self.pump()

    def pump(self) -> None:
        """Admit what may start now, and come back when the policy or a pause wants it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if now >= self.paused_until:
            while batch := self.scheduler.peek(self._fits, _nothing_cached, now):
                for request in batch:
                    self._admit(request)
        wake = self.scheduler.wake_at(now)
        if self._places and now < self.paused_until:
            wake = self.paused_until
        if wake is not None:
            self._timer = loop.call_at(wake, self.pump)

    def _fits(self, requests: Sequence[Request]) -> bool:
        return self.running + len(requests) <= self.target.in_flight

    def _admit(self, request: Request) -> None:
        self.scheduler.admitted(request, request.input_len)
        place = self._places.pop(request.id)
        self.running += 1
        place.running = True
        place.admission.set_result(None)

    def close(self) -> None:
        """No more wake-ups."""
        if self._timer is not None:
            self._timer.cancel()


def _nothing_cached(request: Request) -> int:
    return 0


class Place:
    """One request in a lane; a context manager that gives the place back however the block ends."""

    def __init__(self, lane: Lane, request: Request) -> None:
        self.lane, self.request = lane, request
        self.admission: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running = False
        self._counted = 0

    def __enter__(self) -> Self:
        self.lane.health.begin(self)
        if self.lane.target.has_scheduler:
            self.running = True
            self.lane.running += 1
        else:
            try:
                self.lane.arrive(self)
            except GenerationFailed:
                self.lane.health.end(self)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lane.health.end(self)
        if self.lane.target.has_scheduler:
            self.lane.running -= 1
        else:
            self.lane.leave(self)
        if self.admission.done() and not self.admission.cancelled():
            self.admission.exception()  # seen, also when nobody waited for it

    async def queue(self) -> AsyncIterator[Queued]:
        """Where the request stands, about once a second, until it is admitted. Raises GenerationFailed("busy")."""
        if self.running:
            return
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.lane.target.timeouts.queue_s
        pause = FIRST_NEWS_S
        while not self.admission.done():
            await asyncio.wait((self.admission,), timeout=min(pause, max(0.0, give_up - loop.time())))
            if self.admission.done():
                break
            if loop.time() >= give_up:
                raise GenerationFailed("busy", NEWS_S)
            yield self._news(loop.time())
            pause = NEWS_S
        self.admission.result()

    def _news(self, now: float) -> Queued:
        position, eta = self.lane.scheduler.position(self.request), self.lane.scheduler.eta_s(self.request)
        paused = self.lane.paused_until - now
        if paused > 0:  # the pause says more than the pace so far
            eta = paused if position == 1 else max(eta or 0.0, paused)
        return Queued(position, eta)

    def note(self, event: Event) -> None:
        """Count what the request receives, for the policy and for the deployment's health."""
        if isinstance(event, Text):
            if not self._counted:
                self.lane.health.answering()
            self._charge(event.deltas)
        elif isinstance(event, Finished):
            self.lane.health.succeeded()
            self._charge((event.tokens_out or 0) - self._counted)

    def _charge(self, tokens: int) -> None:
        if tokens > 0:
            self._counted += tokens
            if not self.lane.target.has_scheduler:
                self.lane.scheduler.decoded(self.request, tokens)
