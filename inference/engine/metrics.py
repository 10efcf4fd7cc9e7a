"""The engine's own figures in Prometheus' text format: aggregates only, nothing per client or per model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from inference.scheduler.figures import Buckets

TTFT_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_BUCKETS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
PREFIX = "agon_engine_"


def histogram(name: str, buckets: Buckets) -> Iterator[str]:
    """Prometheus lines of one histogram, cumulative as the format wants."""
    yield f"# TYPE {PREFIX}{name}_seconds histogram"
    seen = 0
    for bound, count in zip((*buckets.bounds, "+Inf"), buckets.counts, strict=True):
        seen += count
        yield f'{PREFIX}{name}_seconds_bucket{{le="{bound}"}} {seen}'
    yield f"{PREFIX}{name}_seconds_sum {buckets.total:.6f}"
    yield f"{PREFIX}{name}_seconds_count {seen}"


class Metrics:
    """What the HTTP side counts. `outcomes`: stop, length, aborted, refused, shed, expired, error, and `bad_request`."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.first_token = Buckets(TTFT_BUCKETS_S)
        self.duration = Buckets(DURATION_BUCKETS_S)

    def text(self, gauges: Mapping[str, float], counters: Mapping[str, float], queue_wait: Buckets) -> str:
        """The whole page; `gauges`, `counters` and `queue_wait` come from the runner, the core and the scheduler."""
        totals = {**counters, "prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        lines = [f"# TYPE {PREFIX}requests_total counter"]
        lines += [f'{PREFIX}requests_total{{outcome="{name}"}} {n}' for name, n in sorted(self.outcomes.items())]
        for name, value in sorted(totals.items()):
            lines += [f"# TYPE {PREFIX}{name}_total counter", f"{PREFIX}{name}_total {value:.10g}"]
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE {PREFIX}{name} gauge", f"{PREFIX}{name} {value:.10g}"]
        waits = {"time_to_first_token": self.first_token, "request_duration": self.duration, "queue_wait": queue_wait}
        for name, buckets in waits.items():
            lines += histogram(name, buckets)
        return "\n".join(lines) + "\n"


def fairness(service: Mapping[str, float]) -> dict[str, float]:
    """Aggregates of service per client: how many, the sum, the largest share, and Jain's index (1 = all alike)."""
    values = [value for value in service.values() if value > 0]
    total = sum(values)
    if not values:
        return {"clients": 0, "service_tokens": 0, "service_largest_share": 0, "service_jain_index": 1}
    squares = sum(value * value for value in values)
    return {
        "clients": len(values),
        "service_tokens": total,
        "service_largest_share": max(values) / total,
        "service_jain_index": total * total / (len(values) * squares),
    }
