"""How long a reply will be, by credibility: what a client's own replies say, as far as they can be trusted.

Ours, in the place of the moving mean of VTC (OSDI'24, section 4.4): the estimator of Buehlmann and Straub from insurance, which
is the best linear one for means of groups of unequal size. A client that was seen n times is expected to say

    Z x its own mean + (1 - Z) x the mean of all,   Z = n / (n + within / between),

where `within` is the variance of one client's replies and `between` that of the clients' means, both estimated from the same
replies. So newcomers get the mean of all, clients whose replies are all alike get their own at once, and noise is averaged away.
Old replies are forgotten with a memory of `memory` replies per client; before the first one ends, `prior` is expected.
Nothing is promised with it that VTC does not promise: a prediction only moves charges forward (bound: docs/scheduling.md).
Tests: tests/inference/scheduler/test_credibility.py.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf

PRIOR = 215.0  # mean reply of LMSYS-Chat-1M (arXiv 2309.11998, table 1), in tokens


class Replies:
    """The replies of one client: `n` of them after forgetting, their mean, and the sum of squares around it."""

    __slots__ = ("mean", "n", "squares")

    def __init__(self) -> None:
        self.n = self.mean = self.squares = 0.0

    def add(self, length: float, keep: float) -> None:
        """One more; what was known counts `keep` as much as before."""
        self.n, self.squares = self.n * keep + 1.0, self.squares * keep
        distance = length - self.mean
        self.mean += distance / self.n
        self.squares += distance * (length - self.mean)


class Credibility:
    """Expected lengths per key. O(1) per call; `most` keys are remembered, the longest unseen forgotten first."""

    def __init__(self, memory: float = 100.0, prior: float = PRIOR, most: int = 10_000) -> None:
        if memory <= 1 or prior < 0 or most < 1:
            raise ValueError("memory must be above 1, prior not negative, most at least 1")
        self._keep, self._prior, self._most = 1.0 - 1.0 / memory, prior, most
        self._known: OrderedDict[str, Replies] = OrderedDict()
        # Sums over clients: n, n x mean, n x mean^2, n^2, squares.
        self._sums = [0.0] * 5

    def expected(self, key: str) -> float:
        """Tokens of the next reply."""
        if not self._known:
            return self._prior
        n, total = self._sums[0], self._sums[1]
        overall = (total + self._prior) / (n + 1.0)  # the prior counts as one reply
        replies = self._known.get(key)
        if replies is None:
            return overall
        noise = self._noise()
        if noise == inf:
            return overall
        return (replies.n * replies.mean + noise * overall) / (replies.n + noise)

    def _noise(self) -> float:
        """within / between: how many replies it takes until a client's own mean counts as much as that of all."""
        n, total, of_means, of_counts, squares = self._sums
        freedom = n - len(self._known)
        if freedom <= 1e-9:
            return inf  # nobody was seen twice: nothing tells clients from noise
        within = max(0.0, squares) / freedom
        spread = of_means - total * total / n - (len(self._known) - 1) * within
        weight = n - of_counts / n
        if within <= 1e-9 * self._prior:
            return 0.0
        if spread <= 0 or weight <= 1e-9:
            return inf
        return within * weight / spread

    def ended(self, key: str, length: int) -> None:
        """A reply ended after `length` tokens."""
        replies = self._known.pop(key, None) or Replies()
        self._count(replies, -1.0)
        replies.add(length, self._keep)
        self._count(replies, 1.0)
        self._known[key] = replies
        if len(self._known) > self._most:
            self._count(self._known.popitem(last=False)[1], -1.0)

    def _count(self, replies: Replies, sign: float) -> None:
        n, mean = replies.n, replies.mean
        for i, value in enumerate((n, n * mean, n * mean * mean, n * n, replies.squares)):
            self._sums[i] += sign * value
