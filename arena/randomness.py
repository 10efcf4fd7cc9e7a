"""Keyed randomness: the same thing always gets the same numbers, and nobody without the key can guess them."""

import hashlib
import hmac
import random

from django.conf import settings


def keyed_int(*parts: object, bits: int = 62) -> int:
    """A number of `bits` bits, decided by the site's secret key and `parts`."""
    message = "\x1f".join(str(part) for part in parts).encode()
    digest = hmac.new(settings.SECRET_KEY.encode(), b"randomness\x1f" + message, hashlib.sha256).digest()
    return int.from_bytes(digest, "big") >> (256 - bits)


def keyed_random(*parts: object) -> random.Random:
    return random.Random(keyed_int(*parts, bits=64))
