"""What holds for every trace: each job is served once and whole, memory is never exceeded, the same run is the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.arrivals import Job, in_order, jittered, poisson, uniform
from inference.scheduler.engine_model import EngineModel, Result
from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.registry import make_scheduler
from inference.scheduler.simulator import Simulator

POOL, CACHE = 200, 60


@st.composite
def one_job(draw: st.DrawFn) -> Job:
    suffix, prefix_len = draw(st.integers(1, 30)), draw(st.sampled_from([0, 0, 20, 25]))
    prefix = draw(st.sampled_from("pqr")) if prefix_len else ""
    return Job(
        draw(st.floats(0, 3)), draw(st.sampled_from("abc")), prefix_len + suffix, draw(st.integers(1, 40)), prefix,
        prefix_len, draw(st.sampled_from(["", "g"])), draw(st.sampled_from(list(ServiceClass))),
    )  # fmt: skip


@st.composite
def traces(draw: st.DrawFn) -> list[Job]:
    jobs = draw(st.lists(one_job(), min_size=1, max_size=25))
    pairs = [
        half
        for i, job in enumerate(draw(st.lists(one_job(), max_size=5)))
        for half in (
            replace(job, pair=f"t{i}", pair_size=2),
            replace(job, at=job.at + draw(st.sampled_from([0.0, 0.03, 0.2])), pair=f"t{i}", pair_size=2),
        )
    ]
    return jobs + pairs


models = st.builds(
    EngineModel,
    pool_tokens=st.just(POOL),
    cache_tokens=st.sampled_from([None, CACHE, 22]),
    prefill_tokens=st.sampled_from([None, 40]),
    admit_every=st.sampled_from([1, 3]),
    max_batch=st.sampled_from([2, 1000]),
    replan_tokens=st.sampled_from([1, 8]),
    planned=st.sampled_from([None, None, lambda job: 3]),
)


class Book:
    """Keeps its own account of memory and tokens, from the events alone."""

    def __init__(self, jobs: list[Job], cache: int | None) -> None:
        self.cache = cache
        self.jobs = {f"r{i}": job for i, job in enumerate(in_order(jobs))}
        self.made: dict[str, int] = dict.fromkeys(self.jobs, 0)
        self.waiting: set[str] = set()
        self.running: set[str] = set()
        self.clock = 0.0

    def arrived(self, r: Request, now: float) -> None:
        assert r.id not in self.waiting
        assert now >= self.clock and now >= self.jobs[r.id].at
        self.running.discard(r.id)
        self.waiting.add(r.id)

    def admitted(self, r: Request, uncached: int, now: float) -> None:
        self.waiting.remove(r.id)
        self.running.add(r.id)
        assert 0 <= uncached <= r.input_len

    def left(self, r: Request, now: float) -> None:
        self.waiting.remove(r.id)

    def decoded(self, running: Iterable[Request], now: float) -> None:
        assert now >= self.clock
        self.clock = now
        for r in running:
            assert r.id in self.running
            self.made[r.id] += 1
        held: dict[str, int] = {}
        own = 0
        for name in self.running:
            job = self.jobs[name]
            prefix_len = job.prefix_len if self.cache is None or job.prefix_len <= self.cache else 0
            held[job.prefix] = max(held.get(job.prefix, 0), prefix_len)
            own += job.input_len - prefix_len + self.made[name]
        shared = sum(held.values())
        assert own + (shared if self.cache is None else 0) <= POOL
        assert self.cache is None or shared <= self.cache
        self.running = {name for name in self.running if self.made[name] < self.jobs[name].output_len}


def run(jobs: list[Job], model: EngineModel, book: Book | None = None) -> Result:
    scheduler = make_scheduler("round_robin", max_waiting_per_client=999)
    return Simulator(scheduler, model, book).run(jobs)


@given(traces(), models)
@settings(max_examples=150, deadline=None)
def test_every_job_is_served_whole_and_memory_is_never_exceeded(jobs: list[Job], model: EngineModel) -> None:
    book = Book(jobs, model.cache_tokens)
    result = run(jobs, model, book)
    assert book.made == {name: job.output_len for name, job in book.jobs.items()}
    assert not book.waiting and not book.running
    assert result.output_tokens == sum(job.output_len for job in jobs)
    assert result.input_tokens == sum(job.input_len for job in jobs)
    assert result.peak_tokens <= POOL
    if model.planned is None:
        assert result.preemptions == 0
        assert result.uncached_tokens == sum(s.uncached for s in result.served)
    for served in result.served:
        assert served.first_token is not None and served.end is not None
        assert served.job.at < served.first_token <= served.end <= result.end
        hit = served.job.input_len - served.uncached
        assert 0 <= hit <= served.job.prefix_len


@given(traces(), models)
@settings(max_examples=50, deadline=None)
def test_the_same_run_is_the_same(jobs: list[Job], model: EngineModel) -> None:
    assert run(jobs, model) == run(jobs, model)


@given(st.integers(0, 2**32), st.floats(0.5, 3), st.floats(5, 60))
@settings(max_examples=30, deadline=None)
def test_generators_are_seeded_and_keep_their_rates(seed: int, rate: float, duration: float) -> None:
    even = uniform((rate, 2 * rate), duration, 5, 7, seed)
    assert even == uniform((rate, 2 * rate), duration, 5, 7, seed)
    assert sum(job.client == "c0" for job in even) == int(rate * duration)
    random = poisson((rate, rate), duration, ((5, 7), (6, 8)), seed)
    assert random == poisson((rate, rate), duration, ((5, 7), (6, 8)), seed)
    assert all(0 < job.at < duration for job in random)
    moved = jittered(random, 1.0, seed)
    assert sorted(job.client for job in moved) == sorted(job.client for job in random)
    assert moved == in_order(moved) == jittered(random, 1.0, seed)


def test_a_client_that_is_off_sends_nothing_in_every_second_period() -> None:
    jobs = uniform((2.0, 3.0), 240.0, 256, 256, 1, off_s=60.0)
    assert {int(job.at // 60) % 2 for job in jobs if job.client == "c0"} == {0}
    assert {int(job.at // 60) % 2 for job in jobs if job.client == "c1"} == {0, 1}
