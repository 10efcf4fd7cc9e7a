"""The receipt of a vote: public proof that it is in the vote log. It opens nothing; the recovery code is something else.

120 bits under AGON_RELEASE_KEY, which is kept for ever, so that a receipt can be shown again and none has to be stored. The log
holds its SHA-256: whoever has the receipt finds the line, and nobody finds the voter from the line.
"""

import base64
import hashlib
import hmac
import re
from uuid import UUID

from django.conf import settings

BYTES = 15
GROUP = 4
LENGTH = BYTES * 8 // 5  # characters, without what separates the groups
PREFIX = "vote"


def receipt(vote: UUID) -> str:
    """As `vote-abcd-efgh-...`: the prefix tells it from a recovery code."""
    secret = keyed("vote-receipt", vote.bytes)[:BYTES]
    return _written(base64.b32encode(secret).decode().lower())


def commitment(of: str) -> str:
    """What the log holds of a receipt."""
    return hashlib.sha256(of.encode()).hexdigest()


def typed(text: str) -> str | None:
    """A receipt as it was meant, however it was typed or pasted; None for anything else."""
    plain = re.sub(r"[\s\-–]", "", text[:200].lower()).removeprefix(PREFIX)
    return _written(plain) if re.fullmatch(rf"[a-z2-7]{{{LENGTH}}}", plain) else None


def keyed(purpose: str, message: bytes) -> bytes:
    """32 bytes that only this installation can compute, and computes for ever."""
    return hmac.new(settings.RELEASE_KEY.encode(), f"agon.{purpose}:".encode() + message, hashlib.sha256).digest()


def _written(plain: str) -> str:
    return "-".join([PREFIX, *(plain[at : at + GROUP] for at in range(0, LENGTH, GROUP))])
