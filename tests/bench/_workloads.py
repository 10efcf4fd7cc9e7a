"""What the benches `fairness` and `locality` serve: the published trace where it is present, fixed generators, or a file."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Callable
from pathlib import Path

from inference.scheduler.arrivals import Job, in_order, poisson, uniform
from inference.scheduler.fairness import Reply, Window

VTC_DATA = Path(os.environ.get("AGON_TEST_DATA") or Path(__file__).parents[2] / "../shared/data") / "serving/vtc"
Suite = tuple[Callable[[int], list[Job]], Window]  # a generator by seed; where to look: while its arrivals last


def read_trace(path: Path) -> list[Job]:
    """Jobs of a CSV: req_time_s, client, output_len and either prompt_len or prefix_group, prefix_len, suffix_len."""
    with path.open(newline="") as stream:
        return in_order(_job(row) for row in csv.DictReader(stream))


def _job(row: dict[str, str]) -> Job:
    """A length of 0 counts as 1: every request is read and answers something."""
    at, client, output_len = float(row["req_time_s"]), row["client"], max(1, int(row["output_len"]))
    if "prompt_len" in row:
        return Job(at, client, max(1, int(row["prompt_len"])), output_len)
    prefix_len, input_len = int(row["prefix_len"]), int(row["prefix_len"]) + int(row["suffix_len"])
    if not row["prefix_group"] or not prefix_len:
        return Job(at, client, max(1, input_len), output_len)
    return Job(at, client, input_len, output_len, row["prefix_group"], prefix_len)


def published_replies(run: str) -> list[Reply]:
    """One published run of the real trace: fcfs, vtc or vtc_oracle."""
    with (VTC_DATA / f"results_real_{run}.csv").open(newline="") as stream:
        return [
            Reply(
                row["client"],
                at := float(row["req_time_s"]),
                at + float(row["first_token_latency_s"]),
                at + float(row["request_latency_s"]),
                int(row["prompt_len"]) + 2.0 * int(row["output_len"]),
            )
            for row in csv.DictReader(stream)
        ]


def suites(seconds: float | None = None) -> dict[str, Suite]:
    """The suites of the VTC paper; `seconds` shortens them."""
    short, long = seconds or 360.0, seconds or 600.0
    eight = (0.4,) * 3 + (0.6,) * 5
    return {
        "overload": (lambda seed: uniform((1.5, 3.0), short, 256, 256, seed), Window(short)),
        "overload_multi": (lambda seed: uniform(eight, short, 256, 256, seed), Window(short)),
        "poisson_short_long": (
            lambda seed: poisson((8.0, 1.5), long, ((64, 64), (256, 256)), seed), Window(long),
        ),
        "on_off": (lambda seed: uniform((2.0, 3.0), long, 256, 256, seed, off_s=60.0), Window(long)),
    }  # fmt: skip


DOCUMENTS, DOCUMENT_LEN, QUESTION_LEN, ANSWER_LENS = 4, 1_500, 40, (32, 96)
EVEN, HEAVY = (0.8,) * 8, (2.9,) + (0.5,) * 7  # requests a second per client: 6.4 in all, 1.8 times what can be served


def documents(rates: tuple[float, ...], seconds: float, seed: int) -> list[Job]:
    """Poisson arrivals; each request asks about one of its client's own documents."""
    rng = random.Random(seed)
    jobs = []
    for i, rate in enumerate(rates):
        at = rng.expovariate(rate)
        while at < seconds:
            document = f"c{i}.{rng.randrange(DOCUMENTS)}"
            answer = rng.randint(*ANSWER_LENS)
            jobs.append(Job(at, f"c{i}", DOCUMENT_LEN + QUESTION_LEN, answer, document, DOCUMENT_LEN))
            at += rng.expovariate(rate)
    return in_order(jobs)
