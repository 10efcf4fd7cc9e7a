"""Whom each scheduler serves and who waits for it: the rows of its most served clients, under names that find nobody.

Our engine tells them at /v1/clients, behind its key; for endpoints without a scheduler the workers tell their own
(`inference/lane.py`).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from arena.operations.hour import client_name, group_name

VISITOR = "visitor:"
TOP = 50
NAME_CHARS = 40
NUMBERS = ("service", "counter", "group_counter", "waiting", "admissions")
WAITS = ("mean_wait_s", "longest_wait_s")  # from arrival to admission


def parse(page: bytes) -> dict[str, Any]:
    """An engine's /v1/clients: {"policy", "rows"}. Raises ValueError for what is no such page."""
    told = json.loads(page)
    if not isinstance(told, dict) or not isinstance(told.get("clients"), list):
        raise ValueError("no list of clients")
    return {"policy": str(told.get("policy", ""))[:NAME_CHARS], "rows": rows(told["clients"])}


def rows(clients: Iterable[Any]) -> list[dict[str, Any]]:
    """At most TOP rows; what is no number becomes None. Raises ValueError for a row that names no client."""
    found = []
    for _, client in zip(range(TOP), clients, strict=False):
        if not isinstance(client, Mapping) or not isinstance(client.get("client"), str):
            raise ValueError("a row names no client")
        group = client.get("group")
        names = {"name": pseudonym(client["client"]), "group": _group(client["client"], group)}
        numbers = {key: _number(client.get(key)) for key in NUMBERS}
        waits = [_number(client.get(key)) for key in WAITS]
        found.append({**names, **numbers, "waits": waits})
    return found


def pseudonym(client: str) -> str:
    """A visitor's short name of this page, the same as in the tables of the hour; jobs go by their own names."""
    if client.startswith(VISITOR):
        return client_name(client.removeprefix(VISITOR))["name"]
    return client[:NAME_CHARS]


def _group(client: str, group: Any) -> str:
    """ "-" for a client that is its own group."""
    return group_name(group)["name"] if isinstance(group, str) and group != client else "-"


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return round(value, 3) if good else None
