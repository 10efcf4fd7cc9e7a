"""What a cached prefix belongs to, and tokens in the form in which prefixes are compared.

Keys and values depend on every token before them and on the weights that computed them, so a prefix may be reused only
under the same base model and the same adapter (LoRA changes K, V and hidden states). The salt adds who may share.
Tests: tests/inference/scheduler/test_prefix_key.py.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from inference.scheduler.protocol import Request

TOKEN_BYTES = array("I").itemsize  # token ids are below 2**32


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


def encode(tokens: Sequence[int]) -> bytes:
    """Token ids as bytes of equal width: comparing prefixes is comparing memory. OverflowError for ids beyond 32 bits."""
    return array("I", tokens).tobytes()


def decode(text: bytes) -> list[int]:
    """The token ids of `encode`."""
    return array("I", text).tolist()
