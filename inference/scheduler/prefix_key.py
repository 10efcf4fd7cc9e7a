"""What a cached prefix belongs to, and tokens in the form in which prefixes are compared.

Keys and values depend on every token before them and on the weights that computed them, so a prefix may be reused only
under the same base model and the same adapter (LoRA changes K, V and hidden states). The salt adds who may share.
Tests: tests/inference/scheduler/test_prefix_key.py.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from inference.scheduler.protocol import Request

TOKEN_BYTES = array("I").itemsize  # token ids are below 2**32
ALIKE_FROM = 256  # tokens that two prompts must begin with to be taken for alike


class PrefixKey(NamedTuple):
    """Prefixes of different keys are never shared. `adapter` is "" for the base model itself."""

    model: str
    adapter: str = ""
    salt: str = ""


def salt_of(r: Request) -> str:
    """Who may share the prefixes of `r`.

    The sender's `cache_salt` decides: a visitor's own pseudonym in battles, so that nobody can find out by timing what
    another has asked; the job's name for exams, judges and simulations, whose prefixes are meant to be shared. Without
    one it is the fairness client, which is the same visitor or job. Requests that name neither share with each other.
    """
    salt = r.meta.get("cache_salt")
    return salt if isinstance(salt, str) and salt else r.client


def alike(r: Request, tokens: Sequence[int]) -> str | None:
    """`Request.prefix` of a prompt: equal for prompts of one adapter and salt that begin with the same half at least.

    The half is the largest power of two below the length, so that a question about a document stands beside the other
    questions about it, and not beside all that share a short preamble. None for prompts of ALIKE_FROM tokens or fewer: they are
    looked up one by one.
    """
    half = 1 << max(0, (len(tokens) - 1).bit_length() - 1)
    if half < ALIKE_FROM:
        return None
    owner = f"{r.adapter or ''}\0{salt_of(r)}\0".encode()
    return blake2b(owner + encode(tokens[:half]), digest_size=12).hexdigest()


def encode(tokens: Sequence[int]) -> bytes:
    """Token ids as bytes of equal width: comparing prefixes is comparing memory. OverflowError for ids beyond 32 bits."""
    return array("I", tokens).tobytes()


def decode(text: bytes) -> list[int]:
    """The token ids of `encode`."""
    return array("I", text).tolist()
