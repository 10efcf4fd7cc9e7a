"""What the public log calls things: contestants and votes under keyed hashes, so that an entry joins to nothing else.

The key is AGON_RELEASE_KEY, which is kept for ever. A contestant has one id from its first vote on; that id says nothing, and
which name it has is told beside the log: the codename until its last day, the name from then on.
"""

import base64
import hashlib
import hmac
import re
from uuid import UUID

from django.conf import settings

CONTESTANT_DIGITS = 16
RECEIPT_BYTES = 15
GROUP = 4
LENGTH = RECEIPT_BYTES * 8 // 5
PREFIX = "vote"


def contestant(key: UUID) -> str:
    """16 hex digits."""
    return _keyed("log-contestant", key.bytes).hex()[:CONTESTANT_DIGITS]


def receipt(vote: UUID) -> str:
    """What the voter is shown: 120 bits as `vote-abcd-efgh-...`. It proves that the vote is in the log, and opens nothing."""
    text = base64.b32encode(_keyed("vote-receipt", vote.bytes)[:RECEIPT_BYTES]).decode().lower()
    return "-".join([PREFIX, *(text[at : at + GROUP] for at in range(0, LENGTH, GROUP))])


def commitment(of: str) -> str:
    """SHA-256 of a receipt, which is what the log holds."""
    return hashlib.sha256(of.encode()).hexdigest()


def typed(text: str) -> str | None:
    """A receipt as it was meant, however it was typed or pasted; None for anything else."""
    plain = re.sub(r"[^a-z2-7]", "", text.lower())
    plain = plain.removeprefix(PREFIX)
    if len(plain) != LENGTH:
        return None
    return "-".join([PREFIX, *(plain[at : at + GROUP] for at in range(0, LENGTH, GROUP))])


def salt(publication: int) -> str:
    """32 hex digits that hide what the head of the withheld chain was at a publication."""
    return _keyed("withheld-salt", str(publication).encode()).hex()[:32]


def _keyed(purpose: str, message: bytes) -> bytes:
    return hmac.new(settings.RELEASE_KEY.encode(), f"agon.{purpose}:".encode() + message, hashlib.sha256).digest()
