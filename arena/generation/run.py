"""One turn in the worker: both sides are opened together, released together, and finished in one commit."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing

from django.conf import settings
from django.db import OperationalError

from arena import battles, clock, turns
from arena.aio import in_db
from arena.generation.pacing import Pacer
from arena.generation.side import SideRun
from arena.models import Side
from arena.models.battles import FinishReason
from arena.streams import events
from arena.turns import Outcome, SideBrief, TurnBrief
from inference.dispatch import Dispatcher
from inference.events import Finished, GenerationFailed, Opened, Queued, Text, Wanted

log = logging.getLogger(__name__)
COMMIT_PAUSES_S = (0.5, 1.0, 2.0)  # while the lease lasts


class TurnRun:
    """Drives a claimed turn to its end. `tell` hands events to the publisher, `tick` is called at the common cadence."""

    def __init__(self, brief: TurnBrief, owner: str, dispatcher: Dispatcher, tell: Callable[..., None]) -> None:
        self.brief, self.owner, self.dispatcher = brief, owner, dispatcher
        self.tell = lambda *batch: tell(brief.turn_id, *batch)
        self.sides = {side: SideRun(side_brief) for side, side_brief in brief.sides.items()}
        self.tasks: dict[Side, asyncio.Task[None]] = {}
        self.pacer = Pacer[Side](settings.PACE_STALL_S)
        self.released = False  # the first text has gone out to the browser
        self.first_text_at: float | None = None
        self.status = ""
        self.replacing = self.replaced = False
        self.drained = asyncio.Event()

    async def run(self) -> None:
        """Write, release, commit, tell. Raises LeaseLost when another worker has taken over."""
        self.tell(*[events.reset(side, run.attempt) for side, run in self.sides.items() if run.attempt > 1])
        self._status("thinking")
        for side, run in self.sides.items():
            self.tasks[side] = asyncio.create_task(self._write(run))
        self.stop(self.brief.stop)
        try:
            await asyncio.gather(*self.tasks.values())
            await self.drained.wait()
        finally:
            for task in self.tasks.values():
                task.cancel()
        await self._finish()

    async def _write(self, run: SideRun) -> None:
        """One side, from opening the upstream to its end; every way of ending is an outcome, none an exception."""
        run.outcome.started_at = clock.now()
        if run.stopped:  # before it began
            run.outcome.finish_reason = FinishReason.STOPPED
        else:
            await self._attempt(run)
            self._judged(run, run.end_of_text)
        if run.outcome.error and self._replaceable():
            await self._replace(run)
        run.ended = True

    async def _attempt(self, run: SideRun) -> None:
        outcome, run.reading = run.outcome, True
        try:
            await self._read(run)
        except GenerationFailed as failure:
            if run.has_text:
                outcome.finish_reason = FinishReason.EARLY
            else:
                outcome.error = failure.code
            log.info("turn %s side %s: %s", self.brief.turn_id, run.side, failure.code)
        except asyncio.CancelledError:
            if not run.stopped:
                raise
            outcome.finish_reason = outcome.finish_reason or FinishReason.STOPPED  # its end may have been read already
        finally:
            run.reading = False

    async def _read(self, run: SideRun) -> None:
        outcome = run.outcome
        async with aclosing(self.dispatcher.stream(self._wanted(run.brief))) as stream:
            async for event in stream:
                if isinstance(event, Text):
                    self._received(run, event.text[: settings.REPLY_MAX_CHARS - run.length])
                    if run.blocked:
                        return
                    if run.length >= settings.REPLY_MAX_CHARS:
                        outcome.finish_reason = FinishReason.LENGTH
                        return
                elif isinstance(event, Queued):
                    self._queued(run, event)
                elif isinstance(event, Opened):
                    outcome.deployment_id = event.deployment_id
                elif isinstance(event, Finished):
                    outcome.tokens_in, outcome.tokens_out = event.tokens_in, event.tokens_out
                    outcome.finish_reason = FinishReason(event.reason)
        if not run.has_text:
            outcome.finish_reason, outcome.error = "", "empty"

    def _received(self, run: SideRun, text: str) -> None:
        if not run.has_text:
            run.outcome.first_token_at = clock.now()
            self.first_text_at = self.first_text_at or time.monotonic()
        self._judged(run, lambda: run.receive(text))

    def _judged(self, run: SideRun, take: Callable[[], None]) -> None:
        """Take text in; when a rule cuts the side there, the browser forgets what it has shown of it."""
        before = run.blocked
        take()
        if run.blocked and not before:
            log.warning("turn %s side %s: cut by rule %s", self.brief.turn_id, run.side, run.outcome.cut)
            self.tell(events.reset(run.side, run.attempt))

    def _wanted(self, brief: SideBrief) -> Wanted:
        turn = self.brief
        pseudonym = f"visitor:{turn.visitor_id}"
        return Wanted(
            model=brief.model,
            adapter=brief.adapter,
            messages=brief.messages,
            sampling=brief.sampling,
            seed=brief.seed,
            client=pseudonym,
            group=turn.group,
            klass="battle",
            pair=str(turn.turn_id) if len(turn.sides) == 2 else None,
            pair_size=len(turn.sides),
            session_id=str(brief.conversation_id),
            cache_salt=pseudonym,
        )

    # --- the common cadence ---------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Release what both sides may show now. They start together, at the slower first text or START_ALIGN_S later."""
        if self.replaced and all(run.ended for run in self.sides.values()):
            self.drained.set()
        if self.drained.is_set() or all(run.quiet for run in self.sides.values()) or not self._may_release():
            return
        sizes = self._sizes()
        frames = {side: frame for side, run in self.sides.items() if (frame := run.frame(sizes[side]))}
        if frames:
            self.released = True
            self._status("writing")
            self.tell((events.FRAME, frames))
        for run in self.sides.values():
            if run.closed and not run.told:
                run.told = True
                self.tell(events.side_done(run.side, run.attempt, run.end_state))
        if all(run.closed for run in self.sides.values()):
            self.drained.set()

    def _sizes(self) -> dict[Side, int]:
        """Characters that each side releases at this tick: as many as the other, until the vote has told who is who."""
        supplies = {side: run.supply for side, run in self.sides.items()}
        if self.brief.post_reveal:
            return {side: supply.waiting for side, supply in supplies.items()}
        return self.pacer.release(supplies, time.monotonic())

    def _may_release(self) -> bool:
        if self.replacing or self.replaced:
            return False
        if self.released or all(run.ended or run.has_text for run in self.sides.values()):
            return True
        waited = time.monotonic() - self.first_text_at if self.first_text_at else 0.0
        return waited >= settings.START_ALIGN_S

    def snapshot(self) -> list[events.Event]:
        """The turn so far, for a stream that was lost."""
        told: list[events.Event] = [events.reset(side, run.attempt) for side, run in self.sides.items()]
        told.append((events.FRAME, {side: run.whole() for side, run in self.sides.items()}))
        told += [events.side_done(s, run.attempt, run.end_state) for s, run in self.sides.items() if run.told]
        return told

    def _status(self, state: str) -> None:
        if self.status != state:
            self.status = state
            self.tell(events.status(state))

    def _queued(self, run: SideRun, event: Queued) -> None:
        """One status for the turn: that of the side which waits longer."""
        run.queued = event
        waiting = [side.queued for side in self.sides.values() if side.queued and not side.has_text and not side.ended]
        if not self.released and waiting:
            worst = max(waiting, key=lambda queued: (queued.position or 0, queued.eta_s or 0.0))
            self.status = "queued"
            self.tell(events.status("queued", worst.position, worst.eta_s))

    # --- endings --------------------------------------------------------------------------------------------------

    def stop(self, sides: set[Side]) -> None:
        """The person pressed stop: what has been written stays."""
        for side in sides:
            run = self.sides.get(side)
            if run and not run.ended and not run.stopped:
                run.stopped = True
                if run.reading:  # a task cancelled outside of its reading would end without an outcome
                    self.tasks[side].cancel()

    def _replaceable(self) -> bool:
        """A first turn of which the person has seen nothing: its prompt may silently go to a new pair."""
        fresh = self.brief.number == 1 and not self.brief.final and not self.brief.post_reveal
        return fresh and not (self.released or self.replacing or self.replaced)

    async def _replace(self, failed: SideRun) -> None:
        """Void the battle and start its prompt anew; the other side's text, not yet seen, is dropped."""
        self.replacing = True  # nothing may be released while the new pair is drawn
        try:
            self.replaced = await in_db(battles.replace, self.brief.battle_id, [failed.brief.contestant_id])
        finally:
            self.replacing = False
        if self.replaced:
            self.stop(set(self.sides) - {failed.side})

    async def _finish(self) -> None:
        outcomes = {side: run.final() for side, run in self.sides.items()}
        state, next_url = await self._commit(outcomes)
        late = [run for run in self.sides.values() if not run.told and not self.replaced]
        ends = [events.side_done(run.side, run.attempt, run.end_state) for run in late]
        self.tell(*ends, events.done(state, next_url))

    async def _commit(self, outcomes: dict[Side, Outcome]) -> tuple[str, str | None]:
        """Store the answers; a database that is away for a moment must not cost the person both texts."""
        for pause in COMMIT_PAUSES_S:
            try:
                return await in_db(turns.finish, self.brief.turn_id, self.owner, outcomes)
            except OperationalError:
                log.warning("turn %s could not be stored; trying again in %g s", self.brief.turn_id, pause)
                await asyncio.sleep(pause)
        return await in_db(turns.finish, self.brief.turn_id, self.owner, outcomes)
