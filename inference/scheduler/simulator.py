"""A discrete-event model of a continuously batching engine that drives the very scheduler objects of the engines.

Kept from the VTC artifact: admission before a prefill pass, every step or every k steps (10 in the artifact, then each step
until one succeeds); a prefill pass yields the first token; the memory test (token_pool.py); the limit on a prefill batch.
Differs: time is a cost profile instead of a GPU, a prefix cache shares the pool, pairs are admitted together, and where jobs
plan for less output than they make, the newest are preempted once memory is full. The scheduler never sees a job's real
output length: `max_output` is one cap for all.
Tests: tests/inference/scheduler/test_simulator.py and test_simulator_properties.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.scheduler.arrivals import Job, in_order
from inference.scheduler.engine_model import EngineModel, Observer, Result, Served
from inference.scheduler.protocol import Request, Scheduler
from inference.scheduler.token_pool import Claim, TokenPool

TOO_LARGE = "larger than the pool"  # why a job is refused that no policy could serve


@dataclass(slots=True)
class Running:
    """A running request: its claim on the pool and the decode step at which it really ends."""

    request: Request
    served: Served
    claim: Claim
    end_step: int


class Simulator:
    """One engine with one scheduler; `run` may be called once."""

    def __init__(self, scheduler: Scheduler, model: EngineModel, observer: Observer | None = None) -> None:
        self.scheduler, self.model, self.observer = scheduler, model, observer
        self.pool = TokenPool(model.pool_tokens, model.cache_tokens)
        self.now = 0.0
        self.step = 0  # decode steps so far
        self._arrivals: deque[Request] = deque()
        self._waiting: dict[str, Request] = {}
        self._running: dict[str, Running] = {}
        self._due: dict[int, list[Running]] = {}  # by the step at which the claim ends
        self._done_tokens: dict[str, int] = {}  # output tokens of preempted requests
        self._served: dict[str, Served] = {}
        self._context = 0  # tokens read by a decode step
        self._since_admission = 0

    def run(self, jobs: Iterable[Job]) -> Result:
        """Serve all jobs. Raises RuntimeError when the policy starts nothing although the engine is idle and jobs wait."""
        ordered = in_order(jobs)
        self.result = Result([Served(job) for job in ordered])
        for i, served in enumerate(self.result.served):
            r = self._request(i, served.job)
            self._served[r.id] = served
            self._arrivals.append(r)
        while self._arrivals or self._waiting or self._running:
            self._deliver()
            self._expire()
            admitted = self._may_admit() and self._admit()
            if self._running:
                self._decode()
            elif not admitted:
                self._idle()
        self.result.end = self.now
        self.result.peak_tokens = self.pool.peak
        return self.result

    def _request(self, i: int, job: Job) -> Request:
        return Request(
            f"r{i}", job.client, job.group, job.klass, job.input_len, self.model.max_output, job.at,
            pair=job.pair, pair_size=job.pair_size, adapter=job.adapter, prefix=job.prefix or None,
            meta={"output_len": job.output_len} if self.model.tell_lengths else {},
        )  # fmt: skip

    # -- arriving --------------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        while self._arrivals and self._arrivals[0].arrival <= self.now:
            r = self._arrivals.popleft()
            served = self._served[r.id]
            beside = 0 if self.model.cache_tokens is None else self._prefix(served.job)[1]
            output_len = self.model.max_output if self.model.whole else served.job.output_len
            if served.job.input_len - beside + output_len >= self.model.pool_tokens:
                served.refused = TOO_LARGE
                continue
            answer = self.scheduler.arrive(r, self.now)
            if not answer.accepted:
                served.refused = answer.reason
                continue
            self._waiting[r.id] = r
            if self.observer:
                self.observer.arrived(r, self.now)
            for victim in answer.shed:
                self._served[victim.id].refused = "shed"
                del self._waiting[victim.id]
                if self.observer:
                    self.observer.left(victim, self.now)

    def _expire(self) -> None:
        """Early abort: whom the scheduler gives up on."""
        for r in self.scheduler.expired(self.now):
            self._served[r.id].refused = "aborted"
            del self._waiting[r.id]
            if self.observer:
                self.observer.left(r, self.now)

    def _idle(self) -> None:
        """Nothing runs: on to the next arrival or to what the scheduler asked for."""
        wake = self.scheduler.wake_at(self.now) if self._waiting else None
        times = [t for t in (self._arrivals[0].arrival if self._arrivals else None, wake) if t is not None]
        if not times and not self._waiting:
            return  # what came last was refused
        if not times:
            raise RuntimeError(f"{len(self._waiting)} requests wait, the engine is idle and the policy starts none")
        self.now = max(self.now, min(times))

    # -- admitting -------------------------------------------------------------------------------------------------

    def _may_admit(self) -> bool:
        return bool(self._waiting) and (not self._running or self._since_admission >= self.model.admit_every)

    def _cached_len(self, r: Request) -> int:
        return self.pool.cached_len(*self._prefix(self._served[r.id].job))

    def _prefix(self, job: Job) -> tuple[str, int]:
        """Its prefix, unless that is larger than the whole cache."""
        cache = self.model.cache_tokens
        return ("", 0) if cache is not None and job.prefix_len > cache else (job.prefix, job.prefix_len)

    def _to_compute(self, r: Request) -> int:
        return r.input_len + self._done_tokens.get(r.id, 0) - self._cached_len(r)

    def _claim(self, r: Request) -> Claim:
        """From this step on; a preempted request goes on where it was."""
        job, done = self._served[r.id].job, self._done_tokens.get(r.id, 0)
        start = self.step - done
        output = job.output_len
        if self.model.planned is not None:
            output = min(output, max(self.model.planned(job), done + self.model.replan_tokens))
        prefix, prefix_len = self._prefix(job)
        return Claim(start + output - 1, job.input_len - prefix_len + 1 - start, prefix, prefix_len)

    def _admit(self) -> bool:
        """Ask the scheduler until it has nothing more that fits, then one prefill pass over what it gave."""
        batch: list[Running] = []
        tokens = 0

        def fits(requests: Sequence[Request]) -> bool:
            if len(self._running) + len(requests) > self.model.max_batch:
                return False
            if batch and tokens + sum(map(self._to_compute, requests)) > self.model.prefill_limit:
                return False
            claims = [self._claim(r) for r in requests]
            return self.pool.fits(claims) and (not self.model.whole or self._whole_fits(requests, claims))

        while unit := self.scheduler.peek(fits, self._cached_len, self.now):
            for r in unit:
                to_compute = self._to_compute(r)
                tokens += to_compute
                batch.append(self._start(r, to_compute))
        if batch:
            self._prefill(batch, tokens)
        return bool(batch)

    def _whole_fits(self, requests: Sequence[Request], claims: Sequence[Claim]) -> bool:
        jobs = [running.served.job for running in self._running.values()] + [self._served[r.id].job for r in requests]
        own = sum(job.input_len - self._prefix(job)[1] for job in jobs) + self.model.max_output * len(jobs)
        return own + self.pool.pinned_with(claims) <= self.model.pool_tokens

    def _start(self, r: Request, to_compute: int) -> Running:
        served = self._served[r.id]
        claim = self._claim(r)
        resumed = r.id in self._done_tokens
        done = self._done_tokens.pop(r.id, 0)
        self.pool.admit(claim, self.step)
        running = Running(r, served, claim, self.step - done + served.job.output_len - 1)
        self._running[r.id] = running
        self._due.setdefault(claim.finish, []).append(running)
        del self._waiting[r.id]
        self._context += r.input_len + done
        self.result.uncached_tokens += to_compute
        if not resumed:
            served.uncached = to_compute
            self.result.input_tokens += r.input_len
        self.scheduler.admitted(r, to_compute)
        if self.observer:
            self.observer.admitted(r, 0 if resumed else to_compute, self.now)
        return running

    # -- running ---------------------------------------------------------------------------------------------------

    def _prefill(self, batch: list[Running], tokens: int) -> None:
        self._since_admission = 0
        self.now += self.model.profile.prefill_s(tokens)
        self.result.prefill_steps += 1
        for running in batch:
            if running.served.first_token is None:
                running.served.first_token = self.now
        self._tokens([running.request for running in batch])

    def _decode(self) -> None:
        while not self.pool.make_room(self.step + 1):
            self._preempt()
        self.now += self.model.profile.decode_s(len(self._running), self._context)
        self.step += 1
        self._since_admission += 1
        self.result.decode_steps += 1
        self._tokens([running.request for running in self._running.values()])

    def _tokens(self, requests: list[Request]) -> None:
        """Each of these made one token."""
        decoded = self.scheduler.decoded
        for r in requests:
            decoded(r, 1)
        self._context += len(requests)
        self.result.output_tokens += len(requests)
        if self.observer:
            self.observer.decoded(requests, self.now)
        for running in self._due.pop(self.step, ()):
            if self._running.get(running.request.id) is running:  # not one that was preempted since
                self._end(running)

    def _end(self, running: Running) -> None:
        """The claim ends: the request does too, or its plan was too short."""
        self.pool.release(running.claim)
        if running.end_step > self.step:
            finish = min(running.end_step, self.step + self.model.replan_tokens)
            running.claim = running.claim._replace(finish=finish)
            self.pool.admit(running.claim, self.step)
            self._due.setdefault(finish, []).append(running)
            return
        del self._running[running.request.id]
        running.served.end = self.now
        self._context -= running.served.job.input_len + running.served.job.output_len
        self.scheduler.finished(running.request)

    def _preempt(self) -> None:
        """The newest gives its memory back and will be computed again."""
        running = self._running.pop(next(reversed(self._running)))
        r, job = running.request, running.served.job
        done = job.output_len - (running.end_step - self.step)
        self._done_tokens[r.id] = done
        self._context -= job.input_len + done
        self.pool.release(running.claim)
        self._waiting[r.id] = r
        self.result.preemptions += 1
        self.scheduler.preempted(r)
        if self.observer:
            self.observer.arrived(r, self.now)
