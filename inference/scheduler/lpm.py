"""Longest prefix match (SGLang, NeurIPS'24, section 3): the most throughput of all baselines, and no fairness at all.

Kept: of everything that waits the request with the longest cached prefix goes first; where more than `fcfs_beyond` wait, it is
first come first served (128 in SGLang, whose matching costs too much beyond; None = never). Differs: no de-duplication
inside a batch, which is the prefix tree's. Test: tests/inference/scheduler/test_baselines.py.
"""

from __future__ import annotations

from inference.scheduler.fcfs import Fcfs
from inference.scheduler.matching import longest_prefix
from inference.scheduler.order import View
from inference.scheduler.unit import Unit


class Lpm(Fcfs):
    """See the module. A choice looks up all that wait: O(n)."""

    def __init__(self, fcfs_beyond: int | None = 128) -> None:
        super().__init__()
        self.fcfs_beyond = fcfs_beyond

    def head(self, view: View) -> Unit | None:
        """See `Order.head`."""
        if self.fcfs_beyond is not None and len(self._tickets) > self.fcfs_beyond:
            return super().head(view)
        return longest_prefix(self.line(), view)
