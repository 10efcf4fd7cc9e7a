"""One thread drives the engine core; asyncio hands requests in and gets outputs back, one wake-up of the loop per step.

The core and its scheduler are touched by that thread alone. A failing step fails the requests that ran in it and the
thread goes on; after `MAX_FAILED_STEPS` in a row, or when the core cannot even forget a request, it says `broken`.
Tests: tests/inference/engine/test_runner.py.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from inference.engine.errors import ApiError, bad_request, unavailable
from inference.engine.sequence import RequestError, Sequence, StepOutput, UnknownAdapter
from inference.engine.ticket import Queued, Ticket
from inference.scheduler.protocol import Arrival, Request, Scheduler

QUEUE_TICK_S = 1.0  # queue positions are told at most this often
MAX_FAILED_STEPS = 3
STALL_S = 120.0  # a single step that takes longer means that the engine hangs
SHED_RETRY_S = 5.0
SUBMIT_TIMEOUT_S = 60.0  # the queue is asked between two steps; a step that long is a hang

T = TypeVar("T")
log = logging.getLogger(__name__)


class Core(Protocol):
    """What the runner needs of `inference.engine.core.EngineCore`; all called from the engine thread."""

    def add(self, seq: Sequence, now: float) -> Arrival: ...
    def abort(self, seq_id: str) -> bool: ...
    def step(self, now: float) -> list[StepOutput]: ...
    def has_work(self) -> bool: ...
    def wake_at(self, now: float) -> float | None: ...
    def stats(self) -> dict[str, Any]: ...


class Runner:
    """See the module. Construct, `start()` in the event loop, `stop()` at the end."""

    def __init__(self, core: Core, scheduler: Scheduler, clock: Callable[[], float] = time.monotonic) -> None:
        self._core, self._scheduler, self._clock = core, scheduler, clock
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._tickets: dict[str, Ticket] = {}  # the engine thread's: what the core holds
        self._waiting: dict[str, Ticket] = {}  # those without output whose place is told
        self._mail: list[Callable[[], None]] = []
        self._next_tick = 0.0
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._stopping = False
        self._step_began: float | None = None
        self._failed_in_a_row = 0
        self._again = False
        self.broken: str | None = None
        self.open: set[Ticket] = set()  # the event loop's: submitted and not ended
        self.steps = self.failed_steps = 0
        self.step_seconds = 0.0

    # -- event loop side -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine thread; the running event loop receives its outputs."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def submit(self, seq: Sequence) -> Ticket:
        """Offer a sequence. Raises ApiError: 400 (never servable) or 503 (refused, broken)."""
        if self.broken:
            raise unavailable(f"the engine is broken: {self.broken}", 30.0, "engine_broken")
        ticket = Ticket(seq, self.abort)
        self.open.add(ticket)
        try:
            await asyncio.wait_for(self.call(lambda: self._add(ticket)), SUBMIT_TIMEOUT_S)
        except ApiError:
            self.open.discard(ticket)
            raise
        except TimeoutError:
            self.abort(ticket)
            raise unavailable("the engine does not answer", 30.0, "engine_stalled") from None
        except asyncio.CancelledError:
            self.abort(ticket)
            raise
        return ticket

    def abort(self, ticket: Ticket) -> None:
        """Let the engine forget `ticket`; the event loop does not wait for it."""
        if ticket in self.open:
            self.open.discard(ticket)
            self._commands.put(lambda: self._forget(ticket.seq.id))

    async def call(self, function: Callable[[], T]) -> T:
        """Run `function` in the engine thread between two steps."""
        future: Future[T] = Future()

        def command() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:  # handed to the caller, whoever that is
                future.set_exception(error)

        self._commands.put(command)
        return await asyncio.wrap_future(future)

    def state(self) -> str:
        """`ok`, `stalled` (one step takes longer than STALL_S) or `broken`."""
        if self.broken:
            return "broken"
        began = self._step_began
        return "stalled" if began is not None and self._clock() - began > STALL_S else "ok"

    async def drained(self, timeout_s: float) -> bool:
        """Wait until no request is open, at most `timeout_s`; whether that came true."""
        until = self._clock() + timeout_s
        while self.open and self._clock() < until:
            await asyncio.sleep(0.02)
        return not self.open

    def fail_open(self, error: ApiError) -> None:
        """End every open request with `error` (called in the event loop)."""
        for ticket in list(self.open):
            ticket.fail(error)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """End the engine thread after the step it is in."""
        self._stopping = True
        self._commands.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, timeout_s)

    # -- engine thread side ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._obey()
                if not self._stopping:
                    self._turn()
        except BaseException as error:  # nothing above would hear of it: say it to those who wait, and in /health
            log.exception("the engine thread died")
            self._break(f"the engine thread died: {error!r}")
        finally:
            self._send()

    def _obey(self) -> None:
        """Run waiting commands; with nothing to compute, wait for one (or for the scheduler's wake-up time)."""
        timeout = self._idle_s()
        try:
            command = self._commands.get(block=timeout != 0.0, timeout=timeout)
            while True:
                if command is not None:
                    command()
                command = self._commands.get_nowait()
        except queue.Empty:
            return

    def _idle_s(self) -> float | None:
        """Seconds to wait for a command: 0 = there is work, None = until one comes."""
        if self.broken or not self._core.has_work():
            return None
        if self._again:  # what ended in the last step has made room
            return 0.0
        now = self._clock()
        wake = self._core.wake_at(now)
        return 0.0 if wake is None else max(0.0, wake - now)

    def _turn(self) -> None:
        """One step of the core, and its outputs into the mail."""
        if not self.broken and self._core.has_work():
            self._step_began = now = self._clock()
            try:
                outputs = self._core.step(now)
                self._post(outputs)
                self._again = bool(outputs)
                self._failed_in_a_row = 0
            except Exception as error:  # a failed step must not end the service of the others
                self._step_failed(error)
            finally:
                self._step_began = None
                self.steps += 1
                self.step_seconds += self._clock() - now
        self._tell_places()
        self._send()

    def _post(self, outputs: Iterable[StepOutput]) -> None:
        for output in outputs:
            if output.dropped:  # whoever was shed has been told already
                self._fail([output.seq_id], unavailable(str(output.error), SHED_RETRY_S, "expired"))
                continue
            self._waiting.pop(output.seq_id, None)
            ended = output.finish_reason is not None
            ticket = self._tickets.pop(output.seq_id, None) if ended else self._tickets.get(output.seq_id)
            if ticket is not None:
                self._mail.append(lambda ticket=ticket, output=output: self._arrived(ticket, output))  # type: ignore[misc]

    def _arrived(self, ticket: Ticket, output: StepOutput) -> None:
        if output.finish_reason is not None:
            self.open.discard(ticket)
        ticket.put(output)

    def _add(self, ticket: Ticket) -> None:
        """Runs between two steps. Raises ApiError."""
        seq = ticket.seq
        try:
            answer = self._core.add(seq, self._clock())
        except UnknownAdapter as error:  # unloaded a moment ago
            raise ApiError(404, str(error), "model", "model_not_found") from None
        except RequestError as error:
            raise bad_request(str(error)) from None
        except Exception as error:
            log.exception("the core could not take request %s", seq.id)
            raise ApiError(500, f"the engine could not take the request: {error}", code="engine_error") from error
        for victim in answer.shed:
            self._shed(victim)
        if not answer.accepted:
            raise unavailable(answer.reason, answer.retry_after_s, "queue_full")
        self._tickets[seq.id] = self._waiting[seq.id] = ticket

    def _shed(self, victim: Request) -> None:
        message = "the engine is overloaded and this client's network has the most requests waiting"
        self._fail([victim.id], unavailable(message, SHED_RETRY_S, "shed"))

    def _fail(self, ids: Iterable[str], error: ApiError) -> None:
        for seq_id in ids:
            self._waiting.pop(seq_id, None)
            ticket = self._tickets.pop(seq_id, None)
            if ticket is not None:
                self._mail.append(lambda ticket=ticket: self._ended(ticket, error))  # type: ignore[misc]

    def _ended(self, ticket: Ticket, error: ApiError) -> None:
        self.open.discard(ticket)
        ticket.fail(error)

    def _forget(self, seq_id: str) -> None:
        self._waiting.pop(seq_id, None)
        if self._tickets.pop(seq_id, None) is None:
            return
        try:
            self._core.abort(seq_id)
        except Exception as error:
            log.exception("the core could not abort %s", seq_id)
            self._break(f"it could not abort a request: {error!r}")

    def _step_failed(self, error: Exception) -> None:
        """Fail what ran in the step (or, when nothing runs, what waits first), and keep serving the others."""
        log.exception("an engine step failed")
        self.failed_steps += 1
        self._failed_in_a_row += 1
        places = {seq_id: self._place(ticket) for seq_id, ticket in self._tickets.items()}
        ids = [i for i, place in places.items() if place is None] or [i for i, place in places.items() if place == 1]
        for seq_id in ids:
            try:
                self._core.abort(seq_id)
            except Exception as again:
                log.exception("the core could not abort %s", seq_id)
                self._break(f"it could not recover from a failed step: {again!r}")
        self._fail(ids, ApiError(500, f"the engine failed while computing this reply: {error}", code="engine_error"))
        if self._failed_in_a_row >= MAX_FAILED_STEPS:
            self._break(f"{self._failed_in_a_row} steps in a row failed, the last with {error!r}")

    def _break(self, why: str) -> None:
        self.broken = self.broken or why
        self._fail(list(self._tickets), unavailable(f"the engine is broken: {why}", 30.0, "engine_broken"))

    def _place(self, ticket: Ticket) -> int | None:
        """Place in the queue, or None for what runs."""
        try:
            return self._scheduler.position(ticket.seq.request)
        except KeyError:
            return None

    def _tell_places(self) -> None:
        now = self._clock()
        if not self._waiting or now < self._next_tick:
            return
        self._next_tick = now + QUEUE_TICK_S
        for seq_id, ticket in list(self._waiting.items()):
            place = self._place(ticket)
            if place is None:
                del self._waiting[seq_id]
                continue
            queued = Queued(place, self._scheduler.eta_s(ticket.seq.request))
            self._mail.append(lambda ticket=ticket, queued=queued: ticket.put_queued(queued))  # type: ignore[misc]

    def _send(self) -> None:
        """Hand the mail to the event loop in one wake-up."""
        if not self._mail:
            return
        mail, self._mail = self._mail, []
        try:
            self._loop.call_soon_threadsafe(lambda: [item() for item in mail])
        except RuntimeError:  # the loop is closed: nobody is left to read
            self._stopping = True
