"""Personal data in a text, as spans: what must not leave the site before somebody looked.

Mails, phone numbers, bank accounts, cards, national identity numbers, public network addresses, keys and tokens. Numbers count
only with a valid checksum, an unmistakable form or a word before them that says what they are, so that versions, hashes, dates,
prices and results of arithmetic stay. Names and postal addresses are not looked for. Linear time; what is too long or holds too
many candidates is marked `unchecked` from there on, which counts as a find.
"""

from typing import NamedTuple

from arena.moderation.detectors.pii import mails, network, numbers, phones, secrets
from arena.moderation.detectors.pii.normal import Found, Normal, masked

LONGEST = 200_000  # characters that are looked at
UNCHECKED = "unchecked"
DETECTORS = (
    secrets.find,
    mails.find,
    network.find,
    numbers.find,
    phones.find,
)  # where two claim the same text, the first has it
ON_MASKED = frozenset({numbers.find, phones.find})


class Span(NamedTuple):
    """Code points [start, end) of the original text. Types: secret, email, ip, iban, card, national_id, phone, unchecked."""

    type: str
    start: int
    end: int


def find_pii(text: str) -> list[Span]:
    """All finds in the order of the text; they do not overlap."""
    normal = Normal(text[:LONGEST])
    hidden = masked(normal.text)
    claimed: list[Found] = []
    for detector in DETECTORS:
        claimed += detector(hidden if detector in ON_MASKED else normal.text)
    spans = [Span(found.type, *normal.original(found.start, found.end)) for found in _first_claims(claimed)]
    if len(text) > LONGEST:
        spans.append(Span(UNCHECKED, LONGEST, len(text)))
    return sorted(spans, key=lambda span: span.start)


def _first_claims(claimed: list[Found]) -> list[Found]:
    """Finds without those that overlap one of an earlier detector."""
    taken: set[int] = set()
    kept = []
    for found in claimed:
        places = range(found.start, found.end)
        if taken.isdisjoint(places):
            taken.update(places)
            kept.append(found)
    return kept
