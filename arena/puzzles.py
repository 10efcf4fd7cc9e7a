"""A proof of work instead of waiting: whoever has asked faster than the limits allow may pay one prompt with a small
computation.

A puzzle is a token that is signed for its visitor (or, before there is one, for the address prefix; it holds a keyed hash
of either, as pages hold no visitor's id), names its difficulty and ends after PUZZLE_TTL_S. Solved is it by a number for
which sha256("<token>:<number>") begins with so many zero bits. A solution works once (Valkey remembers it until the token
would have ended anyway), for one request, and only PUZZLE_PER_MINUTE of them per address prefix: work makes floods dearer,
it does not make them unlimited. Without scripts, or with PUZZLE_BITS = 0, one waits as before.
"""

import hashlib
import secrets
from typing import NamedTuple

import redis
from django.conf import settings
from django.core import signing
from django.utils import crypto

from arena import limits

NUMBER_DIGITS = 16
_signer = signing.TimestampSigner(salt="agon.puzzle")


class Puzzle(NamedTuple):
    """What the browser gets."""

    token: str
    bits: int


def offer(subject: str) -> Puzzle | None:
    """A fresh puzzle for `subject` (visitor or prefix); None where puzzles are switched off."""
    bits = settings.PUZZLE_BITS
    if not bits:
        return None
    return Puzzle(_signer.sign(f"{_owner(subject)}.{bits}.{secrets.token_urlsafe(12)}"), bits)


def redeem(subject: str, group: str, token: str, number: str) -> bool:
    """Whether this solution pays for one request of `subject`. A second time it does not."""
    if not solves(subject, token, number):
        return False
    budget = limits.Bucket(f"puzzle:{group}", settings.PUZZLE_BURST, settings.PUZZLE_PER_MINUTE)
    try:
        return _first_time(token) and limits.take_from(budget) == 0
    except redis.RedisError:
        return False  # the limits, which come next, will say that they cannot be read


def solves(subject: str, token: str, number: str) -> bool:
    """Ours, in time, for this subject, and worked out."""
    if not (number.isascii() and number.isdigit() and len(number) <= NUMBER_DIGITS):
        return False
    try:
        owner, bits, _nonce = _signer.unsign(token, max_age=settings.PUZZLE_TTL_S).split(".")
    except (signing.BadSignature, ValueError):
        return False
    return secrets.compare_digest(owner, _owner(subject)) and zero_bits(f"{token}:{number}") >= int(bits)


def _owner(subject: str) -> str:
    return crypto.salted_hmac("agon.puzzle.owner", subject, algorithm="sha256").hexdigest()[:32]


def zero_bits(text: str) -> int:
    """How many bits the SHA-256 of a text begins with that are 0."""
    return 256 - int.from_bytes(hashlib.sha256(text.encode()).digest(), "big").bit_length()


def _first_time(token: str) -> bool:
    name = f"puzzle:{hashlib.sha256(token.encode()).hexdigest()}"
    return bool(limits.client().set(name, 1, nx=True, ex=settings.PUZZLE_TTL_S + 1))
