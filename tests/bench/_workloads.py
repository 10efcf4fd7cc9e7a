"""What the benches `fairness` and `locality` serve: the published trace where it is present, fixed generators, or a file."""

from __future__ import annotations

import csv
import math
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from inference.scheduler.arrivals import Job, in_order, poisson, uniform
from inference.scheduler.fairness import Reply, Window

VTC_DATA = Path(os.environ.get("AGON_TEST_DATA") or Path(__file__).parents[2] / "../shared/data") / "serving/vtc"
Suite = tuple[Callable[[int], list[Job]], Window]  # a generator by seed; where to look: while its arrivals last


class TraceError(ValueError):
    """This file is no trace; the message names the line."""


def read_trace(path: Path) -> list[Job]:
    """Jobs of a CSV: req_time_s, client, output_len and either prompt_len or prefix_group, prefix_len, suffix_len.

    Times are seconds from any beginning, lengths tokens; a length of 0 counts as 1, for every request is read and answers
    something. Raises TraceError.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            missing = _missing(rows.fieldnames or ())
            if missing:
                raise TraceError(f"{path}: no column {missing}")
            jobs = [_checked(path, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: {error}") from None
    if not jobs:
        raise TraceError(f"{path}: no requests")
    first = min(0.0, min(job.at for job in jobs))
    return in_order(replace(job, at=job.at - first) for job in jobs)


def _missing(names: Iterable[str]) -> str:
    """The first column that is wanted and not there."""
    lengths = ("prompt_len",) if "prompt_len" in names else ("prefix_group", "prefix_len", "suffix_len")
    return next((name for name in ("req_time_s", "client", "output_len", *lengths) if name not in names), "")


def _checked(path: Path, line: int, row: dict[str, str]) -> Job:
    try:
        job = _job(row)
    except (TypeError, ValueError, OverflowError) as error:
        raise TraceError(f"{path}, line {line}: {error}") from None
    if not math.isfinite(job.at):
        raise TraceError(f"{path}, line {line}: {row['req_time_s']} is no time")
    return job


def _length(row: dict[str, str], name: str) -> int:
    length = int(row[name])
    if length < 0:
        raise ValueError(f"{name} is {length}")
    return length


def _job(row: dict[str, str]) -> Job:
    at, client, output_len = float(row["req_time_s"]), row["client"], max(1, _length(row, "output_len"))
    if "prompt_len" in row:
        return Job(at, client, max(1, _length(row, "prompt_len")), output_len)
    prefix_len = _length(row, "prefix_len")
    input_len = prefix_len + _length(row, "suffix_len")
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
