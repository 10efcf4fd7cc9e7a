"""Checking the stored log: both chains line by line, the columns beside them, and the counts that they stand for."""

from collections.abc import Iterator
from typing import Any

from arena.models import Contestant
from arena.models.battles import Origin
from ranking.models import PairCount
from ranking.votelog import chain, exclusions, names, opening
from ranking.votelog.ballots import OVERALL, Ballots
from ranking.votelog.models import PUBLICATION, LogEntry, WithheldEntry

AT_ONCE = 2000


def lines(upto: int | None = None) -> Iterator[tuple[int, str]]:
    """Number and text of the public chain's lines."""
    found = LogEntry.objects.order_by("number") if upto is None else LogEntry.objects.filter(number__lte=upto)
    yield from found.order_by("number").values_list("number", "body").iterator(chunk_size=AT_ONCE)


def public_chain() -> tuple[chain.Walk, list[str]]:
    """The public chain, and what is wrong with it."""
    walk, beside = chain.Walk(), []
    rows = LogEntry.objects.order_by("number").values_list("number", "body", "hash", "kind", "receipt", "about")
    for number, body, digest, *columns in rows.iterator(chunk_size=AT_ONCE):
        entry = _take(walk, number, body, digest)
        if entry is not None and columns != [
            entry.get("kind"),
            entry.get("receipt", ""),
            entry.get("vote", columns[2]),
        ]:
            beside.append(f"line {number}: the columns beside it are not what it says")
    return walk, walk.faults + beside


def withheld_chain() -> tuple[chain.Walk, list[str]]:
    """The chain of exclusions, and what is wrong with it."""
    walk, beside = chain.Walk(), []
    rows = WithheldEntry.objects.order_by("number").values_list(
        "number", "body", "hash", "event__vote_id", "event__kind"
    )
    for number, body, digest, vote, kind in rows.iterator(chunk_size=AT_ONCE):
        entry = _take(walk, number, body, digest)
        if entry is not None and (entry["kind"] != kind or (vote and entry["receipt"] != names.vote(vote))):
            beside.append(f"exclusion {number}: is not about the event beside it")
    return walk, [fault.replace("line", "exclusion") for fault in walk.faults] + beside


def commitments() -> list[str]:
    """Publications whose line does not hold what the withheld chain was by then."""
    heads = {0: chain.GENESIS} | dict(WithheldEntry.objects.values_list("number", "hash"))
    told = LogEntry.objects.filter(kind=PUBLICATION, about__isnull=False).order_by("number")
    return [
        f"line {number}: committed to other exclusions than the first {length}"
        for number, length, body in told.values_list("number", "about", "body").iterator(chunk_size=AT_ONCE)
        if opening.commitment(names.salt(number), heads.get(length or 0, "")) != chain.decode(body)["withheld"]
    ]


def _take(walk: chain.Walk, number: int, body: str, digest: str) -> dict[str, Any] | None:
    """The next stored line. A missing number is told once, and the walk goes on behind the gap."""
    if number != walk.head.number + 1:
        walk.faults.append(f"line {walk.head.number + 1}: missing")
        walk.head = chain.Head(number - 1, walk.head.hash)
    entry = walk.take(body)
    if walk.head.hash != digest:
        walk.faults.append(f"line {number}: its stored hash is not that of its text")
    return entry


def counts() -> list[str]:
    """Differences between the stored counts and those that the public chain and the withheld exclusions stand for.

    Call under the counts' lock: both are of one moment then.
    """
    ballots = Ballots()
    for number, body in lines():
        ballots.take(number, chain.decode(body))
    stored = {tuple(row[:-1]): row[-1] for row in _stored()}
    told = _told(ballots)
    for key, change in exclusions.hidden(Origin.LIVE).pairs.items():
        told[key[1:]] = told.get(key[1:], 0) - int(change[0])
    keys = sorted((key for key in stored.keys() | told.keys() if stored.get(key, 0) != told.get(key, 0)), key=str)
    differ = [
        f"{key[0] or 'overall'} {key[1:]}: {stored.get(key, 0)} counted, {told.get(key, 0)} in the log" for key in keys
    ]
    return ballots.faults + differ


def _stored() -> Iterator[Any]:
    live = PairCount.objects.filter(origin=Origin.LIVE, count__gt=0)
    yield from live.values_list("category", "first_id", "second_id", "first_was_a", "outcome", "count").iterator()


def _told(ballots: Ballots) -> dict[tuple[Any, ...], int]:
    """(category, first, second, first was A, outcome) -> votes, by our own keys."""
    keys = {names.contestant(key): key for key in Contestant.objects.values_list("pk", flat=True)}
    order = {name: place for place, name in enumerate(sorted(keys, key=lambda name: keys[name]))}
    found: dict[tuple[Any, ...], int] = {}
    for category in [OVERALL, *sorted(ballots.categories().keys() - {OVERALL})]:
        for (first, second, side, outcome), sums in ballots.cells(category, order).items():
            found[category, keys[first], keys[second], side, outcome] = sums.count
    return found
