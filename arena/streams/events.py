"""The vocabulary of a turn's stream. Every event of a side carries its attempt, so that text is never doubled."""

import json
from typing import Any
from uuid import UUID

STATUS, RESET, FRAME, SIDE, DONE = "status", "reset", "frame", "side", "done"

FIELD = "s"  # the one field of a stream entry

Event = tuple[str, dict[str, Any]]
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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


def encoded(event: Event) -> bytes:
    """An event as it is stored and sent: all of a server-sent event but its id. JSON holds no raw line break."""
    return f"event: {event[0]}\ndata: {_json(event[1])}\n\n".encode()


def wire(entry_id: bytes, told: bytes) -> bytes:
    """A stored event with the id of its stream entry, as the browser gets it."""
    return b"id: %b\n%b" % (entry_id, told)


def is_done(told: bytes) -> bool:
    """Whether a stored event is the terminal one."""
    return told.startswith(b"event: done\n")
