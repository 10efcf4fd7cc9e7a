"""Least Counter First (VTC, OSDI'24, section 5.1): VTC without the lift, a baseline.

Kept: everything of vtc.py. Differs: a client that comes back has its old, low counter and is served alone until it has
caught up, however long it was away. Test: tests/inference/scheduler/test_baselines.py.
"""

from __future__ import annotations

from inference.scheduler.vtc import Vtc


class Lcf(Vtc):
    """See the module."""

    lift = False
