"""What the public log calls things: keyed hashes, so that an entry joins to nothing else. `arena.receipts` has the key.

A contestant has one id from its first vote on. The id says nothing; which name it has is told beside the log: the codename
until its last day, the name from then on.
"""

from uuid import UUID

from arena.receipts import commitment, keyed, receipt

CONTESTANT_DIGITS = 16


def contestant(key: UUID) -> str:
    """16 hex digits."""
    return keyed("log-contestant", key.bytes).hex()[:CONTESTANT_DIGITS]


def vote(key: UUID) -> str:
    """SHA-256 of the vote's receipt."""
    return commitment(receipt(key))


def snapshot(key: UUID) -> UUID:
    """Of a published board. Its key tells when it was fitted, and so whether an exclusion that waits had it fitted anew."""
    return UUID(bytes=keyed("snapshot", key.bytes)[:16], version=4)


def salt(publication: int) -> str:
    """32 hex digits that hide what the head of the withheld chain was at a publication."""
    return keyed("withheld-salt", str(publication).encode()).hex()[:32]
