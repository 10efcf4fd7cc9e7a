"""Opening what publications committed to: that exclusions were sealed when it is said, and not chosen afterwards. No Django.

Each publication's line holds `withheld`, the SHA-256 of a secret salt and the head of the withheld chain at that time. Once
exclusions are public, their lines of the withheld chain are, too, with the salts of the publications that knew no later ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ranking.votelog import chain


def commitment(salt: str, head: str) -> str:
    return chain.digest(salt + head)


def faults(
    exclusions: Iterable[str], openings: Sequence[Mapping[str, Any]], committed: Mapping[int, str], excluded: set[str]
) -> list[str]:
    """What does not fit. `exclusions`: lines of the withheld chain; `committed`: by the number of its line what a publication
    says; `excluded`: hashes of the receipts of votes that are excluded."""
    walk, heads, known = chain.Walk(), {0: chain.GENESIS}, set()
    for line in exclusions:
        entry = walk.take(line)
        heads[walk.head.number] = walk.head.hash
        known.add((entry or {}).get("receipt"))
    found = [fault.replace("line", "exclusion") for fault in walk.faults]
    for one in openings:
        number, length = one["publication"], one["exclusions"]
        if length not in heads:
            found.append(f"publication {number}: {length} exclusions, and {walk.head.number} are public")
        elif commitment(one["salt"], heads[length]) != committed.get(number):
            found.append(f"publication {number}: committed to other exclusions than the first {length}")
    return found + [
        f"the vote with receipt hash {one} is excluded, and was never sealed so" for one in sorted(excluded - known)
    ]
