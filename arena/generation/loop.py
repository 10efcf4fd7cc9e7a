"""The loop of worker-generate: one thread, one asyncio loop, all open turns of the process."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import asdict
from functools import cache, partial
from typing import cast
from uuid import UUID, uuid4

import uvloop
from celery.signals import worker_shutdown
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from arena import logs, turns
from arena.aio import in_db
from arena.generation import control, sweeper
from arena.generation.pulse import Pulse
from arena.generation.run import TurnRun
from arena.operations import heartbeat, queues
from arena.streams import events
from arena.streams.publish import Publisher, connect
from arena.turns import LeaseLost
from inference.dispatch import Dispatcher
from inference.targets import open_dispatcher

log = logging.getLogger(__name__)
RECONNECT_S = 0.5
BUSY = 1.25  # a tick may take four fifths of its period; the rest is for what else the loop does


class GenerationLoop:
    """Owns the thread. `offer` may be called from any thread; everything else runs inside the loop."""

    def __init__(self, dispatcher: Callable[[], AbstractAsyncContextManager[Dispatcher]] | None = None) -> None:
        self.pulse = Pulse()
        self.open_dispatcher = dispatcher or partial(open_dispatcher, self.pulse.wait)
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"[-80:]
        self.runs: dict[UUID, TurnRun] = {}
        self.driving: dict[UUID, asyncio.Task[None]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.leases_lost = 0
        self.turned_away = False  # a turn came while we were full: look for it when there is room again
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="generation", daemon=True)

    def _run(self) -> None:
        """The thread's life. A worker without its loop would take turns and never write them, so it leaves instead."""
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except Exception:
            log.critical("the generation loop broke; this worker leaves, its turns are taken up again", exc_info=True)
            os._exit(os.EX_SOFTWARE)

    def start(self) -> "GenerationLoop":
        self.thread.start()
        self.ready.wait()
        return self

    def offer(self, turn_id: UUID) -> None:
        """Take the turn if there is room and nobody else holds it."""
        self.loop.call_soon_threadsafe(self._accept, turn_id)

    def drain(self, timeout_s: float) -> None:
        """Finish what is open, for at most `timeout_s`, then give the rest back to other workers."""
        asyncio.run_coroutine_threadsafe(self._drain(timeout_s), self.loop).result(timeout_s + 10)

    def stop(self, timeout_s: float) -> None:
        """Drain, then end the thread."""
        self.drain(timeout_s)
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(timeout_s + 10)

    async def _main(self) -> None:
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        async with connect() as redis, connect(socket_timeout=None) as ears, self.open_dispatcher() as self.dispatcher:
            self.publisher = Publisher(redis, self._snapshot)
            self.ready.set()
            beside = (self._tick_for_ever(), self._renew_for_ever(), self._listen_for_ever(ears), self._beat_for_ever())
            tasks = [self.loop.create_task(work) for work in (*beside, self._until_ended())]
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            for task in done:
                task.result()  # only a bug ends here with an error, and _run says so

    async def _until_ended(self) -> None:
        await self.ended.wait()

    def _snapshot(self, turn_id: UUID) -> list[events.Event]:
        return self.runs[turn_id].snapshot()

    # --- turns ----------------------------------------------------------------------------------------------------

    def _accept(self, turn_id: UUID) -> None:
        if turn_id in self.runs:
            return  # sent again because our lease ran out: it is ours, and the next renewal says so
        if self.draining or len(self.tasks) >= settings.OPEN_TURNS:
            self.turned_away = True
            return
        task = self.loop.create_task(self._drive(turn_id))
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a turn broke; its lease will expire and it is tried again", exc_info=error)
        if self.turned_away and not self.draining:
            self.turned_away = False
            self.loop.create_task(self._look_for_more())

    async def _look_for_more(self) -> None:
        for turn_id in await in_db(sweeper.oldest, settings.OPEN_TURNS - len(self.tasks)):
            self._accept(turn_id)

    async def _drive(self, turn_id: UUID) -> None:
        brief = await in_db(turns.claim, turn_id, self.owner)
        if brief is None:
            return
        logs.about(brief.battle_id)
        run = self.runs[turn_id] = TurnRun(brief, self.owner, self.dispatcher, self.publisher.add)
        self.driving[turn_id] = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            await run.run()
        except LeaseLost:
            self.leases_lost += 1
            log.warning("turn %s was taken over by another worker, or erased", turn_id)
            await self._drop_if_erased(turn_id)
        except asyncio.CancelledError:  # also how a lost lease ends a turn between two renewals
            if not self.draining:
                await self._drop_if_erased(turn_id)
            raise
        finally:
            del self.runs[turn_id], self.driving[turn_id]

    async def _drop_if_erased(self, turn_id: UUID) -> None:
        """What this worker has streamed of an erased turn goes; that of a turn which another worker writes stays."""
        if await in_db(turns.erased, turn_id):
            self.publisher.drop(turn_id)

    # --- what runs beside them ------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        """One script call per tick for all turns of this worker.

        A worker with more turns than its tick has room for ticks more slowly, down to STREAM_TICK_MOST_S: fewer and longer
        frames cost less, and every turn still gets them at one cadence.
        """
        due = self.loop.time()
        while True:
            begun = self.loop.time()
            self.pulse.beat()
            await asyncio.sleep(0)  # all that engines have said by now is read before it is released
            for turn_id, run in list(self.runs.items()):
                self._tick(turn_id, run)
            if not await self.publisher.flush(set(self.runs)):
                await asyncio.sleep(RECONNECT_S)
            now = self.loop.time()
            spent = now - begun
            due = max(
                due + min(max(settings.STREAM_TICK_S, BUSY * spent), settings.STREAM_TICK_MOST_S), now + spent / 2
            )
            await asyncio.sleep(due - now)

    def _tick(self, turn_id: UUID, run: TurnRun) -> None:
        try:
            run.tick()
        except Exception:  # one turn's text must not stop the others; its lease expires and it is tried again
            with logs.battle(run.brief.battle_id):
                log.exception("turn %s broke while it was rendered", turn_id)
            self.driving[turn_id].cancel()

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(settings.TURN_LEASE_S / 3)
            if not self.runs:
                continue
            asked = list(self.runs)
            try:
                renewal = await in_db(turns.renew, self.owner, asked)
            except Exception:  # the database may be away for a moment: the lease has two more tries
                log.exception("leases were not renewed")
                continue
            self._apply(asked, renewal)

    def _apply(self, asked: list[UUID], renewal: turns.Renewal) -> None:
        for turn_id in asked:
            run = self.runs.get(turn_id)
            if run and turn_id not in renewal.held:
                for task in run.tasks.values():
                    task.cancel()
            elif run and turn_id in renewal.stops:
                run.stop(renewal.stops[turn_id])

    async def _listen_for_ever(self, client: Redis) -> None:
        while True:
            with suppress(RedisError, OSError):
                async for turn_id, sides in control.stops(client):
                    if run := self.runs.get(turn_id):
                        run.stop(sides)
            await asyncio.sleep(RECONNECT_S)

    async def _beat_for_ever(self) -> None:
        """Written from in here: a worker whose loop hangs is dead, whatever its other threads do."""
        while not self.draining:
            await asyncio.to_thread(heartbeat.tell, self.figures())
            await asyncio.sleep(settings.HEARTBEAT_S)
        await asyncio.to_thread(heartbeat.leave)  # it takes nothing any more
        await self.ended.wait()  # what has been drained is still being told

    def figures(self) -> dict[str, object]:
        """What only this process knows, for operators."""
        own = {"open_turns": len(self.tasks), "leases_lost": self.leases_lost, "room": settings.OPEN_TURNS}
        kept = self.dispatcher.clients(queues.TOP)
        told = {deployment: queues.rows(map(asdict, clients)) for deployment, clients in kept.items()}
        return own | self.publisher.figures() | {"lanes": self.dispatcher.figures(), "queues": told}

    async def _drain(self, timeout_s: float) -> None:
        self.draining = True
        if self.tasks:
            log.info("finishing %d open turns", len(self.tasks))
            await asyncio.wait(self.tasks, timeout=timeout_s)
        left = list(self.runs)
        for task in self.tasks:
            task.cancel()
        if left:
            await in_db(turns.release, self.owner, left)
        await asyncio.sleep(2 * settings.STREAM_TICK_S)  # the last events go out


def loop() -> GenerationLoop:
    """The loop of this process, started at the first turn and drained when the worker is told to stop."""
    with _starting:  # a cache alone would let two task threads start two loops
        return _started()


_starting = threading.Lock()


@cache
def _started() -> GenerationLoop:
    running = GenerationLoop().start()
    worker_shutdown.connect(lambda **_: running.drain(settings.DRAIN_S), weak=False)
    return running
