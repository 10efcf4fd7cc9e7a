"""Who cast a vote, without a person: votes of one visitor share a pseudonym, so that they are not taken as independent.

A keyed hash of the visitor's id. It stays when the visitor is deleted (the ranking needs to know which votes came from one
hand), and then nothing leads back: the id is nowhere on the site any more. The key is the installation's release key, used for
this purpose under a prefix of its own; with another key the later votes of a person would count as somebody else's.
"""

import hashlib
import hmac
from uuid import UUID

from django.conf import settings

DIGITS = 32
_PURPOSE = b"agon.judge:"


def judge_of(visitor_id: UUID | None) -> str:
    """32 hex digits; "" when there is no visitor (a vote of an older release whose person is deleted)."""
    if visitor_id is None:
        return ""
    key = settings.RELEASE_KEY.encode()
    return hmac.new(key, _PURPOSE + visitor_id.bytes, hashlib.sha256).hexdigest()[:DIGITS]
