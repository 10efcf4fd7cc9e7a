"""Choice of the endpoint: by priority, health and load, with silent failover before the first text. No Django.

Fairness lives in the engine's scheduler; endpoints without one get the same policy here, one object per deployment
(`inference.lane`). Nothing else queues: every wait has a position, a bound and an end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from inference import open_files
from inference.client import Client, ClientLimits, Pace, UpstreamFailed
from inference.events import Event, GenerationFailed, Wanted
from inference.health import Health
from inference.lane import Lane
from inference.scheduler.protocol import ClientFigures
from inference.scheduler.registry import DISPATCH_POLICY, make_scheduler
from inference.target import Target

log = logging.getLogger(__name__)
Load = Callable[[], Awaitable[list[Target]]]
Key = tuple[str, str | None]
SPARE_FILES = 256


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """Bounds of dispatch; `arena/bounds.py` reads them from AGON_DISPATCH_*.

    `refresh_s` and `load_timeout_s` are about the list of deployments; `attempts` counts all tries of one request, of which
    `rate_retries` may follow a 429, each after at most `retry_after_s`; circuits open after `failures` in a row for
    `circuit_s`, doubling up to `circuit_most_s`.
    """

    waiting_per_client: int = 8
    waiting: int = 512
    attempts: int = 4
    rate_retries: int = 2
    retry_after_s: float = 20.0
    refresh_s: float = 5.0
    load_timeout_s: float = 5.0
    failures: int = 3
    circuit_s: float = 2.0
    circuit_most_s: float = 60.0


@dataclass(slots=True)
class Course:
    """How far one request has come: which deployments failed it, and why."""

    order: float
    tried: set[UUID] = field(default_factory=set)
    failure: GenerationFailed | None = None
    attempts: int = 0
    rate_limited: int = 0


class Dispatcher:
    """All generations of one process. `load` returns the deployments that may be used, with opened keys."""

    def __init__(
        self,
        load: Load,
        limits: DispatchLimits | None = None,
        client_limits: ClientLimits | None = None,
        policy: str = DISPATCH_POLICY,
        pace: Pace | None = None,
    ) -> None:
        self.limits = limits or DispatchLimits()
        self.client = Client(client_limits, pace)
        self._load, self._policy = load, policy
        self._lanes: dict[UUID, Lane] = {}
        self._serving: dict[Key, list[Lane]] = {}
        self._loaded_at: float | None = None
        self._loading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        open_files.allow(self.client.limits.connections + SPARE_FILES)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._loading is not None:
            self._loading.cancel()
        for lane in self._lanes.values():
            lane.close()
        await self.client.close()

    async def stream(self, wanted: Wanted) -> AsyncGenerator[Event, None]:
        """Events of one generation. Raises GenerationFailed; closing the generator aborts the request at the endpoint.

        Until the first text another deployment of the same model and adapter takes over silently, with the same seed.
        """
        await self._refresh()
        course = Course(asyncio.get_running_loop().time())
        while True:
            lane = self._choose(wanted, course)
            course.attempts += 1
            try:
                with lane.place(wanted, course.order, alone=course.attempts > 1) as place:
                    async for queued in place.queue():
                        yield queued
                    async with aclosing(self.client.stream(lane.target, wanted)) as events:
                        async for event in events:
                            place.note(event)
                            yield event
                return
            except GenerationFailed as failed:
                course.failure = self._failed(lane, failed)
                self._go_on(lane, course, wanted)

    def figures(self) -> dict[str, dict[str, int]]:
        """Per deployment id: requests in flight, in line, and whether its circuit is open."""
        now = asyncio.get_running_loop().time()
        return {
            str(key): {
                "running": lane.running,
                "waiting": lane.scheduler.waiting(),
                "open": int(lane.health.wait_s(now) > 0),
            }
            for key, lane in self._lanes.items()
        }

    def clients(self, limit: int) -> dict[str, list[ClientFigures]]:
        """Per deployment whose queue is here the `limit` most served clients; those that schedule for themselves know theirs."""
        lanes = ((str(key), lane) for key, lane in self._lanes.items() if not lane.target.has_scheduler)
        return {key: found for key, lane in lanes if (found := lane.scheduler.clients(limit))}

    # --- choosing -------------------------------------------------------------------------------------------------

    def _choose(self, wanted: Wanted, course: Course) -> Lane:
        """The lane to try next. Raises GenerationFailed when none is left."""
        serving = self._serving.get((wanted.model, wanted.adapter), [])
        if not serving:
            raise GenerationFailed("no_deployment")
        now = asyncio.get_running_loop().time()
        left = [lane for lane in serving if lane.target.deployment_id not in course.tried]
        sound = [lane for lane in left if not lane.health.wait_s(now)]
        if sound:
            return min(sound, key=lambda lane: (now < lane.paused_until, lane.target.priority, lane.load()))
        if course.failure is not None:
            raise course.failure
        soonest = min(left, key=lambda lane: lane.health.wait_s(now))
        raise GenerationFailed(soonest.health.last_code, soonest.health.wait_s(now))

    def _failed(self, lane: Lane, failed: GenerationFailed) -> GenerationFailed:
        """Note a failure and log its code; what is handed on holds no word of the provider's."""
        now = asyncio.get_running_loop().time()
        if isinstance(failed, UpstreamFailed):
            lane.health.failed(failed.code, now)
            where = f"{lane.target.upstream_name} at {lane.target.base_url}"
            log.warning("%s: %s (status %s)", where, failed.code, failed.status)
        return GenerationFailed(failed.code, failed.retry_after_s, failed.after_text)

    def _go_on(self, lane: Lane, course: Course, wanted: Wanted) -> None:
        """Prepare the next try after a failure. Raises the failure when there may be none."""
        failure = course.failure
        assert failure is not None
        if failure.after_text or course.attempts >= self.limits.attempts:
            raise failure
        if failure.code == "rate_limited":
            course.rate_limited += 1
            pause = failure.retry_after_s or 2.0 ** (course.rate_limited - 1)
            lane.pause(min(pause, self.limits.retry_after_s))
            if self._worth_waiting(lane, course, pause):
                return
        course.tried.add(lane.target.deployment_id)

    def _worth_waiting(self, lane: Lane, course: Course, pause: float) -> bool:
        """After a 429: the lane's own queue waits the pause out, if it is short and the endpoint does not queue itself."""
        short = pause <= self.limits.retry_after_s and course.rate_limited <= self.limits.rate_retries
        return short and not lane.target.has_scheduler

    # --- the list of deployments ----------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        """Have a list that is at most `refresh_s` old; one query at a time, whoever asks."""
        now = asyncio.get_running_loop().time()
        if self._loaded_at is not None and now - self._loaded_at < self.limits.refresh_s:
            return
        if self._loading is None:
            self._loading = asyncio.create_task(self._reload())
            self._loading.add_done_callback(self._reloaded)
        await asyncio.shield(self._loading)

    def _reloaded(self, task: asyncio.Task[None]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()

    async def _reload(self) -> None:
        try:
            async with asyncio.timeout(self.limits.load_timeout_s):
                targets = await self._load()
        except Exception:
            log.exception("the list of deployments could not be read; going on with the %d known", len(self._lanes))
            self._loaded_at = asyncio.get_running_loop().time()
            return
        self._install(targets)
        self._loaded_at = asyncio.get_running_loop().time()

    def _install(self, targets: list[Target]) -> None:
        """Take over a new list. Lanes keep their queue and health; one that is no longer listed only empties."""
        serving: dict[Key, list[Lane]] = {}
        for target in targets:
            lane = self._lanes.get(target.deployment_id)
            if lane is None or lane.target.has_scheduler != target.has_scheduler:
                lane = self._lanes[target.deployment_id] = self._new_lane(target)
            lane.target = target
            lane.pump()
            serving.setdefault((target.model, target.adapter), []).append(lane)
        listed = {target.deployment_id for target in targets}
        self._lanes = {key: lane for key, lane in self._lanes.items() if key in listed or not lane.idle()}
        self._serving = serving

    def _new_lane(self, target: Target) -> Lane:
        limits = self.limits
        scheduler = make_scheduler(
            self._policy, max_waiting_per_client=limits.waiting_per_client, max_waiting=limits.waiting
        )
        return Lane(target, scheduler, Health(limits.failures, limits.circuit_s, limits.circuit_most_s))
