"""Policies by name, so that the engine's command line and `dispatch` choose one in the same words."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from inference.scheduler.dlpm import Dlpm
from inference.scheduler.drr import Drr
from inference.scheduler.fcfs import Fcfs
from inference.scheduler.lcf import Lcf
from inference.scheduler.lpm import Lpm
from inference.scheduler.order import Order
from inference.scheduler.protocol import Scheduler
from inference.scheduler.room import WaitingRoom
from inference.scheduler.round_robin import Rotation
from inference.scheduler.rpm import Rpm
from inference.scheduler.vtc import Vtc
from inference.scheduler.vtc_locality import VtcLocality

POLICIES: dict[str, Callable[..., Order]] = {
    "dlpm": Dlpm,
    "drr": Drr,
    "fcfs": Fcfs,
    "lcf": Lcf,
    "lpm": Lpm,
    "round_robin": Rotation,
    "rpm": Rpm,
    "vtc": Vtc,
    "vtc_credibility": partial(Vtc, lengths="credibility"),
    "vtc_locality": VtcLocality,
    "vtc_locality_credibility": partial(VtcLocality, lengths="credibility"),
    "vtc_oracle": partial(Vtc, lengths="oracle"),
    "vtc_predicted": partial(Vtc, lengths="predicted"),
}
DEFAULT_POLICY = "round_robin"
FRAME_OPTIONS = frozenset(inspect.signature(WaitingRoom).parameters) - {"order"}


def make_scheduler(name: str = DEFAULT_POLICY, **options: Any) -> Scheduler:
    """A fresh scheduler. Raises ValueError for an unknown name, TypeError for an option that the policy does not have."""
    if name not in POLICIES:
        raise ValueError(f"unknown scheduler {name!r}; choose one of: {', '.join(sorted(POLICIES))}")
    frame = {key: options.pop(key) for key in FRAME_OPTIONS & options.keys()}
    return WaitingRoom(POLICIES[name](**options), **frame)
