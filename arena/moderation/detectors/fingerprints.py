"""Two fingerprints of a text: one that equal texts share however they are spelled, one that similar texts nearly share.

Both are functions of the folded words alone, so they are the same in every process and on every machine.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from arena.moderation.detectors.folding import words

BITS = 64
LANE = 24  # bits per counter: shingles of one text stay far below 2**24
# Each byte's eight bits, each in a lane of its own: adding such numbers counts all 64 bits at once.
SPREAD = tuple(sum((byte >> bit & 1) << bit * LANE for bit in range(8)) for byte in range(256))


class Fingerprints(NamedTuple):
    """SHA-256 of the folded words as hex, and their simhash (Charikar 2002) as a signed 64-bit number."""

    exact: str
    simhash: int


def fingerprints(text: str) -> Fingerprints:
    """Of a text without words (emoji, signs) the exact fingerprint is that of its visible characters, the simhash 0."""
    spoken = words(text)
    basis = " ".join(spoken) or "\0" + "".join(unicodedata.normalize("NFKC", text).split())
    exact = hashlib.sha256(basis.encode("utf-8", "surrogatepass")).hexdigest()
    return Fingerprints(exact, simhash(_shingles(spoken)))


def _shingles(spoken: list[str]) -> set[str]:
    """Pairs of neighbouring words; of a single word, the word."""
    return {f"{a} {b}" for a, b in pairwise(spoken)} or set(spoken)


def simhash(features: Iterable[str]) -> int:
    """Bit i is set when more than half of the features' hashes have it set. 0 without features."""
    total = 0
    hashed = list(features)
    for feature in hashed:
        digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=BITS // 8).digest()
        total += sum(SPREAD[byte] << at * 8 * LANE for at, byte in enumerate(digest))
    mask = (1 << LANE) - 1
    value = sum(1 << bit for bit in range(BITS) if 2 * (total >> bit * LANE & mask) > len(hashed))
    return value - (1 << BITS) if value >> BITS - 1 else value
