"""The engine's own figures in Prometheus' text format: aggregates only, nothing per client or per model."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

TTFT_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_BUCKETS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
PREFIX = "agon_engine_"


class Histogram:
    """Counts per upper bound, and the sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """One more `value`."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterable[str]:
        """Prometheus lines, cumulative as the format wants."""
        seen = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            seen += count
            yield f'{name}_bucket{{le="{bound}"}} {seen}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {seen}"


class Metrics:
    """What the HTTP side counts. `outcomes`: stop, length, aborted, refused, shed, expired, error, and `bad_request`."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.first_token = Histogram(TTFT_BUCKETS_S)
        self.duration = Histogram(DURATION_BUCKETS_S)

    def text(self, gauges: Mapping[str, float], counters: Mapping[str, float]) -> str:
        """The whole page; `gauges` and `counters` come from the runner, the core and the scheduler."""
        totals = {**counters, "prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        lines = [f"# TYPE {PREFIX}requests_total counter"]
        lines += [f'{PREFIX}requests_total{{outcome="{name}"}} {n}' for name, n in sorted(self.outcomes.items())]
        for name, value in sorted(totals.items()):
            lines += [f"# TYPE {PREFIX}{name}_total counter", f"{PREFIX}{name}_total {value:.10g}"]
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE {PREFIX}{name} gauge", f"{PREFIX}{name} {value:.10g}"]
        for name, histogram in (("time_to_first_token", self.first_token), ("request_duration", self.duration)):
            lines.append(f"# TYPE {PREFIX}{name}_seconds histogram")
            lines += histogram.lines(f"{PREFIX}{name}_seconds")
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
