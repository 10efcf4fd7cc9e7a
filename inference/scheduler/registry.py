"""Policies by name, so that the engine's command line and `dispatch` choose one in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inference.scheduler.protocol import Scheduler
from inference.scheduler.round_robin import RoundRobin

POLICIES: dict[str, Callable[..., Scheduler]] = {"round_robin": RoundRobin}
DEFAULT_POLICY = "round_robin"


def make_scheduler(name: str = DEFAULT_POLICY, **options: Any) -> Scheduler:
    """A fresh scheduler. Raises ValueError for an unknown name, TypeError for an option that the policy does not have."""
    if name not in POLICIES:
        raise ValueError(f"unknown scheduler {name!r}; choose one of: {', '.join(sorted(POLICIES))}")
    return POLICIES[name](**options)
