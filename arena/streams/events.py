"""The vocabulary of a turn's stream. Every event of a side carries its attempt, so that text is never doubled."""

import json
from typing import Any
from uuid import UUID

STATUS, RESET, FRAME, SIDE, DONE = "status", "reset", "frame", "side", "done"

Event = tuple[str, dict[str, Any]]


def key(turn_id: UUID) -> str:
    """The Valkey key of a turn's stream."""
    return f"turn:{turn_id}"


def status(state: str, position: int | None = None, eta_s: float | None = None) -> Event:
    """One status per turn, never per side: `queued`, `busy`, `thinking` or `writing`."""
    return STATUS, {"state": state, "position": position, "eta_s": None if eta_s is None else round(eta_s)}


def reset(side: str, attempt: int) -> Event:
    """The browser clears the side; a new attempt (or a republished one) follows."""
    return RESET, {"side": side, "attempt": attempt}


def side_done(side: str, attempt: int, state: str) -> Event:
    """`done`, `stopped`, `early`, `blocked` (its text is withheld) or `failed`: how one side ended."""
    return SIDE, {"side": side, "attempt": attempt, "state": state}


def done(battle_state: str, next_url: str | None = None) -> Event:
    """Terminal: the browser closes the stream."""
    return DONE, {"battle": battle_state} | ({"next": next_url} if next_url else {})


def fields(event: Event) -> dict[str, str]:
    """An event as the fields of a stream entry."""
    return {"e": event[0], "d": json.dumps(event[1], ensure_ascii=False, separators=(",", ":"))}


def wire(entry_id: str, name: str, data: str) -> bytes:
    """An entry as one server-sent event; JSON holds no raw line break, so one data line is enough."""
    return f"id: {entry_id}\nevent: {name}\ndata: {data}\n\n".encode()
