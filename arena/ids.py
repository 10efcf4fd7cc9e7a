"""Identifiers: uuid7 for rows that are read in time order, uuid4 for what strangers see; never counters."""

import secrets
import time
import uuid
from datetime import datetime

uuid4 = uuid.uuid4


def uuid7() -> uuid.UUID:
    """A version 7 UUID (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 74 random bits."""
    ms = time.time_ns() // 1_000_000
    value = (ms & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def uuid7_floor(moment: datetime) -> uuid.UUID:
    """Below every version 7 UUID made from `moment` on: a time range on a primary key."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | 0x2 << 62)
