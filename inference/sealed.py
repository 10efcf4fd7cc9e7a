"""Secrets in the database, encrypted at rest with a key from the environment (Fernet: AES-128-CBC with HMAC-SHA-256)."""

import base64
import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class WrongSealKey(ValueError):
    """A stored secret was sealed under a key that AGON_SEAL_KEYS no longer lists."""


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    """Seals with the first key, opens with any: so keys can be rotated."""
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys])


def seal(text: str) -> str:
    return _cipher(tuple(settings.SEAL_KEYS)).encrypt(text.encode()).decode() if text else ""


def unseal(token: str) -> str:
    try:
        return _cipher(tuple(settings.SEAL_KEYS)).decrypt(token.encode()).decode() if token else ""
    except InvalidToken:
        raise WrongSealKey("a stored key cannot be read: add the key it was sealed under to AGON_SEAL_KEYS") from None
