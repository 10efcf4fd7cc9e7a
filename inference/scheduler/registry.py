"""Policies by name, so that the engine's command line and `dispatch` choose one in the same words.

Tests: tests/inference/engine/test_policy.py, tests/inference/scheduler/test_round_robin.py.
"""

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
DEFAULT_POLICY = "vtc_locality_credibility"
# In front of an endpoint without our scheduler nothing is known of its prefix cache.
DISPATCH_POLICY = "vtc_credibility"
FRAME_OPTIONS = frozenset(inspect.signature(WaitingRoom).parameters) - {"order"}


def options_of(name: str) -> frozenset[str]:
    """What `make_scheduler` takes for this policy."""
    made = POLICIES[name]
    policy = made.func if isinstance(made, partial) else made
    found = set(FRAME_OPTIONS)
    for base in inspect.getmro(policy):  # type: ignore[arg-type]
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        found |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):  # what it does not know is not handed on
            break
    return frozenset(found)


def make_scheduler(name: str = DEFAULT_POLICY, **options: Any) -> Scheduler:
    """A fresh scheduler. Raises ValueError for an unknown name, a wrong value, or an option that the policy does not have."""
    if name not in POLICIES:
        raise ValueError(f"unknown scheduler {name!r}; choose one of: {', '.join(sorted(POLICIES))}")
    unknown = sorted(options.keys() - options_of(name))
    if unknown:
        raise ValueError(f"scheduler {name!r} has no {unknown[0]}; it has: {', '.join(sorted(options_of(name)))}")
    frame = {key: options.pop(key) for key in FRAME_OPTIONS & options.keys()}
    room = WaitingRoom(POLICIES[name](**options), **frame)
    room.policy = name
    return room
