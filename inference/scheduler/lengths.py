"""How long a reply will be, in tokens: what the length-predicted and the oracle variants of VTC charge at admission.

VTC, OSDI'24, section 4.4 and appendix B.3. Kept: the mean of the client's last five replies, as the artifact computes it (a
running mean in which the newest reply weighs a fifth: better than the plain mean of five on every trace we tried); an
oracle that is told. Differs: a client without history is expected to say as much as all clients did lately, where the
artifact expects nothing; nothing beyond what the request may say is expected; credibility.py is a predictor of ours, and
the engine's default.
Tests: tests/inference/scheduler/test_lengths.py, test_vtc.py.
"""

from __future__ import annotations

from collections.abc import Callable

from inference.scheduler.counters import Client
from inference.scheduler.credibility import Credibility
from inference.scheduler.protocol import OUTPUT_LEN, Request

NEWEST = 1 / 5  # weight of a client's newest reply in its mean
NEWEST_OF_ALL = 1 / 10  # and in the mean over all clients


class Lengths:
    """What is expected of a request, and what came of it. This one expects nothing: plain VTC."""

    def expected(self, r: Request, client: Client) -> float:
        """Output tokens that `r` is charged for in advance."""
        return 0.0

    def was(self, client: Client, n_out: int) -> None:
        """A reply of `client` ended after `n_out` tokens."""


class Predicted(Lengths):
    """The client's running mean."""

    def __init__(self) -> None:
        self._of_all: float | None = None

    def expected(self, r: Request, client: Client) -> float:
        """See `Lengths.expected`."""
        mean = client.mean_length if client.mean_length is not None else self._of_all or 0.0
        return min(mean, r.max_output) if r.max_output else mean

    def was(self, client: Client, n_out: int) -> None:
        """See `Lengths.was`."""
        client.mean_length = _towards(client.mean_length, n_out, NEWEST)
        self._of_all = _towards(self._of_all, n_out, NEWEST_OF_ALL)


def _towards(mean: float | None, newest: int, weight: float) -> float:
    return newest if mean is None else mean + weight * (newest - mean)


class Credible(Lengths):
    """What credibility.py expects of the client, whatever network it comes from."""

    def __init__(self) -> None:
        self.known = Credibility()

    def expected(self, r: Request, client: Client) -> float:
        """See `Lengths.expected`."""
        length = self.known.expected(client.name)
        return min(length, r.max_output) if r.max_output else length

    def was(self, client: Client, n_out: int) -> None:
        """See `Lengths.was`."""
        self.known.ended(client.name, n_out)


class Oracle(Lengths):
    """The true length, which an experiment wrote into `Request.meta`."""

    def expected(self, r: Request, client: Client) -> float:
        """See `Lengths.expected`. Raises KeyError or TypeError where nobody told the length."""
        length = r.meta[OUTPUT_LEN]
        if not isinstance(length, int):
            raise TypeError(f"{OUTPUT_LEN} must be a whole number of tokens")
        return length


LENGTHS: dict[str, Callable[[], Lengths]] = {
    "none": Lengths,
    "predicted": Predicted,
    "credibility": Credible,
    "oracle": Oracle,
}
