"""The fairness metrics: the published figures, hand-computed cases, and what the monitor counts as backlogged."""

from __future__ import annotations

from statistics import fmean

import pytest

from inference.scheduler.arrivals import Job, uniform
from inference.scheduler.engine_model import EngineModel, Served
from inference.scheduler.fairness import (
    BacklogMonitor,
    Reply,
    Window,
    accumulated_differences,
    nested,
    replies,
    service_differences,
)
from inference.scheduler.protocol import PAIR_HOLD_S, Request
from inference.scheduler.registry import make_scheduler
from inference.scheduler.simulator import Simulator
from tests.bench._workloads import published_replies, read_trace
from tests.inference.scheduler import published


@pytest.mark.parametrize(
    ("run", "most", "average"), [("fcfs", 759.97, 433.53), ("vtc", 368.40, 251.66), ("vtc_oracle", 329.46, 227.51)]
)
def test_the_published_runs_give_the_published_figures(run: str, most: float, average: float) -> None:
    published.file(f"vtc/results_real_{run}.csv")
    found = service_differences(published_replies(run), Window())
    assert len(found) == 19
    assert max(found) == pytest.approx(most, abs=0.01)
    assert fmean(found) == pytest.approx(average, abs=0.01)


def test_accumulated_differences_of_a_published_run() -> None:
    published.file("vtc/results_real_fcfs.csv")
    assert max(accumulated_differences(published_replies("fcfs"), Window())) == pytest.approx(154034, abs=1)


# One window, [10, 20): ticks = 2 gives the single tick 5 s after the warm-up of 10.
ONE = Window(duration_s=20.0, warmup_s=10.0, width_s=10.0, ticks=2)


def test_a_client_that_gets_what_it_asks_for_adds_nothing() -> None:
    runs = [Reply("a", 12.0, 12.0, 16.0, 100.0), Reply("b", 12.0, 12.0, 16.0, 40.0)]
    assert ONE.offsets() == [5.0]
    assert service_differences(runs, ONE) == [0.0]


def test_a_starved_client_adds_what_it_lacks_up_to_the_best_served() -> None:
    served = Reply("a", 12.0, 12.0, 16.0, 100.0)
    starved = Reply("b", 12.0, 18.0, 22.0, 60.0)  # half of it within the window
    greedy = Reply("c", 12.0, 30.0, 40.0, 900.0)  # asks for more than anybody gets: counts up to a's 100
    assert service_differences([served, starved], ONE) == [pytest.approx(30.0 / 10)]
    assert service_differences([served, greedy], ONE) == [pytest.approx(100.0 / 10)]


def test_windows_are_half_open() -> None:
    late, early = Reply("a", 20.0, 40.0, 41.0, 50.0), Reply("a", 10.0, 40.0, 41.0, 50.0)
    other = Reply("b", 12.0, 12.0, 16.0, 100.0)
    assert service_differences([late, other], ONE) == [0.0]
    assert service_differences([early, other], ONE) == [pytest.approx(5.0)]


def test_accumulated_differences_begin_after_the_warm_up() -> None:
    runs = [Reply("a", 0.0, 5.0, 15.0, 100.0), Reply("b", 0.0, 20.0, 30.0, 7.0)]
    assert accumulated_differences(runs, ONE) == [pytest.approx(50.0)]


def test_what_was_not_served_has_no_reply() -> None:
    job = Job(1.0, "a", 10, 5)
    assert replies([Served(job, refused="shed"), Served(job, 2.0, 3.0)]) == [Reply("a", 1.0, 2.0, 3.0, 20.0)]


def request(client: str, number: int = 0, **fields: object) -> Request:
    return Request(f"{client}{number}", client, **fields)  # type: ignore[arg-type]


def test_differences_count_only_while_both_wait() -> None:
    watch = BacklogMonitor()
    a, b = [request("a", i) for i in range(3)], [request("b", i) for i in range(2)]
    watch.arrived(a[0], 0.0)
    watch.arrived(a[1], 0.0)
    watch.admitted(a[0], 50, 0.0)
    assert watch.worst == 0.0, "b was not there"
    watch.arrived(b[0], 1.0)
    watch.arrived(b[1], 1.0)
    watch.decoded([a[0]] * 10, 2.0)
    assert watch.worst == 20.0
    watch.admitted(b[0], 30, 2.0)
    assert watch.worst == 30.0, "from a ahead by 20 to a behind by 10"
    watch.admitted(a[1], 99, 3.0)  # nothing of a waits any more
    watch.arrived(a[2], 4.0)
    watch.decoded([b[0]], 5.0)
    assert watch.worst == 30.0, "a new interval begins"


def test_siblings_are_compared_not_cousins() -> None:
    assert nested(request("a", group="g")) == (("", "group g"), ("group g", "a"))
    watch = BacklogMonitor()
    for client, group in (("a", "g"), ("b", "g"), ("c", "h"), ("d", "")):
        watch.arrived(request(client, 0, group=group), 0.0)
        watch.arrived(request(client, 1, group=group), 0.0)
    watch.admitted(request("a", 0, group="g"), 10, 0.0)
    watch.admitted(request("b", 0, group="g"), 10, 0.0)
    assert watch.worst == 20.0, "g has 20 more than h; a and b differed by 10"


def test_half_a_pair_waits_once_it_could_be_admitted() -> None:
    def halves(second_at: float) -> float:
        watch = BacklogMonitor()
        watch.arrived(request("b", 0), 0.0)
        watch.arrived(request("b", 1), 0.0)
        watch.arrived(request("a", 0, pair="t", pair_size=2), 0.0)
        watch.admitted(request("b", 0), 10, 0.01)
        watch.arrived(request("a", 1, pair="t", pair_size=2), second_at)
        watch.decoded([request("b", 0)], 0.2)
        return watch.worst

    assert halves(0.02) == 2.0, "only what came after the second half counts"
    watch = BacklogMonitor()
    watch.arrived(request("b", 0), 0.0)
    watch.arrived(request("b", 1), 0.0)
    watch.arrived(request("a", 0, pair="t", pair_size=2), 0.0)
    watch.decoded([request("b", 0)], PAIR_HOLD_S)
    assert watch.worst == 2.0, "its hold is over"
    watch.left(request("a", 0, pair="t", pair_size=2), 1.0)
    assert halves(0.02) == 2.0


def test_the_monitor_sees_that_taking_turns_is_unfair_to_who_asks_for_little() -> None:
    jobs = uniform((3.0, 3.0), 60.0, 256, 256, 1)
    small = [Job(job.at, "small", 8, 8) if job.client == "c0" else job for job in jobs]
    watch = BacklogMonitor()
    Simulator(make_scheduler("round_robin", max_waiting_per_client=999), EngineModel(), watch).run(small)
    assert watch.worst > 20_000


def test_both_formats_of_a_trace(tmp_path: pytest.TempPathFactory) -> None:
    plain, shared = tmp_path / "plain.csv", tmp_path / "shared.csv"  # type: ignore[operator]
    plain.write_text("req_time_s,client,prompt_len,output_len\n1.5,b,7,0\n0.5,a,3,4\n")
    shared.write_text(
        "req_time_s,client,prefix_group,prefix_len,suffix_len,output_len\n0,a,doc,100,5,6\n1,a,,0,5,6\n2,b,doc,100,0,6\n"
    )
    assert read_trace(plain) == [Job(0.5, "a", 3, 4), Job(1.5, "b", 7, 1)]
    assert read_trace(shared) == [
        Job(0.0, "a", 105, 6, "doc", 100), Job(1.0, "a", 5, 6), Job(2.0, "b", 100, 6, "doc", 100),
    ]  # fmt: skip
