"""The ids under which conversations are published: stable across releases, and mute about when and by whom.

A primary key would tell the millisecond (uuid7) and join a dump to other places where the key is seen. The secret must be kept
for ever: with another one every conversation would get a new id, and the list of removals would name ids that nobody holds.
"""

import hashlib
import hmac
from uuid import UUID

from django.conf import settings

DIGITS = 32
_PURPOSE = b"agon.released-conversation:"


def public_id(conversation_id: UUID) -> str:
    """32 hex digits of a keyed hash of the conversation's id."""
    key = settings.RELEASE_KEY.encode()
    return hmac.new(key, _PURPOSE + conversation_id.bytes, hashlib.sha256).hexdigest()[:DIGITS]
