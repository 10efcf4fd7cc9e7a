"""Longest prefix match (SGLang, NeurIPS'24, section 3): of some units, the one of which most is in the prefix cache.

Tests: tests/inference/scheduler/test_matching.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from inference.scheduler.order import View
from inference.scheduler.unit import Unit


def cached_tokens(unit: Unit, view: View) -> int:
    """Input tokens of all requests of `unit` that are in the prefix cache."""
    requests = unit.requests
    return view.cached_len(requests[0]) if len(requests) == 1 else sum(map(view.cached_len, requests))


def longest_prefix(units: Iterable[Unit], view: View) -> Unit | None:
    """The unit with most cached tokens; the first of equals, None of none. One look-up per request."""
    return max(units, key=lambda unit: cached_tokens(unit, view), default=None)
