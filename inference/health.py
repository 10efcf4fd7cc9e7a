"""Whether a deployment is worth asking: a circuit that opens after failures in a row and lets one request try again."""

from __future__ import annotations

from dataclasses import dataclass

# The request's own fault, or a matter of load, says nothing about health.
UNHEALTHY = frozenset({"unreachable", "timeout", "server_error", "bad_response", "truncated"})


@dataclass(slots=True)
class Health:
    """Opens after `threshold` failures in a row for `base_s`, doubling up to `most_s`. Times are of one monotonic clock."""

    threshold: int = 3
    base_s: float = 2.0
    most_s: float = 60.0
    failures: int = 0
    last_code: str = ""
    open_until: float = 0.0
    trial: object | None = None

    def wait_s(self, now: float) -> float:
        """Seconds until a request may try; 0 = now. While one request tries, the others wait for its outcome."""
        if self.failures < self.threshold:
            return 0.0
        if self.trial is not None:
            return self.base_s
        return max(0.0, self.open_until - now)

    def begin(self, who: object) -> None:
        """`who` tries; the only one who does while the circuit is half open."""
        if self.failures >= self.threshold:
            self.trial = who

    def answering(self) -> None:
        """An answer has begun: others may try too, but one more failure opens the circuit again."""
        self.failures, self.trial = min(self.failures, self.threshold - 1), None

    def succeeded(self) -> None:
        """An answer came to its end."""
        self.failures, self.trial = 0, None

    def failed(self, code: str, now: float) -> None:
        """A request failed with `code` (see `UNHEALTHY`)."""
        if code not in UNHEALTHY:
            return
        self.failures += 1
        self.last_code = code
        if self.failures >= self.threshold:
            self.open_until = now + min(self.most_s, self.base_s * 2.0 ** min(self.failures - self.threshold, 30))

    def end(self, who: object) -> None:
        """`who` is gone, whatever came of it."""
        if self.trial is who:
            self.trial = None
