"""Sealing: from absorbed events to lines of the two chains, inside absorb()'s transaction and under its lock.

Only live events are sealed. Votes and their categories enter the public chain. Exclusions (void, flag, unflag) enter the
withheld chain at once and the public one when they are released, at a fixed moment long after: otherwise a rigger could try
votes and see which are noticed. A line holds no text, no visitor, no battle and no time but the day of its sealing; the votes
of a batch stand in the order of their receipts' hashes, which is no order of time.

The cost per event is constant: each chain's last line is read once per batch, and lines are written in bulk.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from arena import clock
from arena.models import Vote, VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from ranking.counting.contributions import latest_flag
from ranking.votelog import chain, names, schedule
from ranking.votelog.exclusions import KINDS, groups_of
from ranking.votelog.models import LogEntry, WithheldEntry

BULK = 1000
Entry = dict[str, Any]


def seal(batch: Sequence[VoteEvent], earlier: Iterable[VoteEvent]) -> None:
    """Seal a batch of events that is being absorbed, under the counts' lock and before they are marked as absorbed.

    `earlier`: the absorbed events of the same votes.
    """
    live = [event for event in batch if event.origin == Origin.LIVE]
    if live:
        _seal(live, earlier, clock.now(), head())


def seal_earlier(batch: Sequence[VoteEvent], changes: Sequence[VoteEvent], moment: datetime) -> None:
    """Seal a batch of live events of before the log (`ranking.votelog.earlier`), under the counts' lock.

    `changes`: how their votes were categorised since. Exclusions worked on the public board at once, so they are public at once.
    """
    _seal(batch, changes, moment, head())
    release(moment, 0, 0)


def append(entries: Iterable[Entry], last: chain.Head | None = None, about: int | None = None) -> chain.Head:
    """Add entries to the public chain after its line `last` (None: look), under the counts' lock; returns its new head.

    `about` is kept beside lines that name no vote: of a publication, how long the withheld chain was.
    """
    rows = [(entry, _columns(entry, about)) for entry in entries]
    return _append(LogEntry, rows, last or head()) if rows else last or head()


def _columns(entry: Entry, about: int | None) -> dict[str, Any]:
    return {"kind": entry["kind"], "receipt": entry.get("receipt", ""), "about": entry.get("vote", about)}


def _append(
    model: type[LogEntry] | type[WithheldEntry], entries: Sequence[tuple[Entry, dict[str, Any]]], last: chain.Head
) -> chain.Head:
    """Entries with the values of their other columns, at least one."""
    lines = list(chain.link(last, [entry for entry, _more in entries]))
    rows = [
        model(number=line.number, body=line.body, hash=line.hash, **more)
        for line, (_entry, more) in zip(lines, entries, strict=True)
    ]
    model._default_manager.bulk_create(rows, batch_size=BULK)  # type: ignore[arg-type]
    return chain.Head(lines[-1].number, lines[-1].hash)


def head() -> chain.Head:
    return _head(LogEntry)


def withheld_head() -> chain.Head:
    return _head(WithheldEntry)


def release(moment: datetime, delay_s: float, every_s: float) -> int:
    """Move every exclusion whose batch has come into the public chain, under the counts' lock; returns how many.

    A vote gets a line only when its public standing changes: a flag that was taken back within one batch leaves none.
    """
    cast = VoteEvent.objects.filter(vote=OuterRef("event__vote"), kind=EventKind.CAST, absorbed=True)
    waiting = WithheldEntry.objects.filter(Exists(cast), released_at=None).select_related("event").order_by("number")
    due = [one for one in waiting if schedule.released_from(one.sealed_at, delay_s, every_s) <= moment]
    before = _excluded(due)
    WithheldEntry.objects.filter(pk__in=[one.pk for one in due]).update(released_at=moment)
    after = _excluded(due)
    numbers = _numbers(after)
    day = moment.date().isoformat()
    changed = [(numbers[vote], "exclude" if out else "include") for vote, out in after.items() if out != before[vote]]
    append([{"kind": kind, "day": day, "vote": number} for number, kind in sorted(changed)])
    return len(due)


def _excluded(entries: Sequence[WithheldEntry]) -> dict[UUID, bool]:
    """Whether each vote that the entries are about is out, as the public log stands."""
    votes = {one.event.vote_id for one in entries if one.event.vote_id}
    found = dict.fromkeys(votes, False)
    for _everything, public in groups_of(votes):
        kinds = [event.kind for event in sorted(public, key=lambda event: (event.created_at, event.id))]
        vote = next(event.vote_id for event in public if event.kind == EventKind.CAST)
        assert vote is not None
        found[vote] = EventKind.VOID in kinds or latest_flag(kinds) == EventKind.FLAG
    return found


def _seal(events: Sequence[VoteEvent], earlier: Iterable[VoteEvent], moment: datetime, last: chain.Head) -> None:
    day = moment.date().isoformat()
    casts = [event for event in events if event.kind == EventKind.CAST]
    categories = _categories([*earlier, *events])
    last = append(_votes(casts, categories, day), last)
    again = {event.vote_id for event in events if event.kind == EventKind.RECATEGORISE and event.vote_id}
    numbers = _numbers(again - {event.vote_id for event in casts})
    changed = sorted((number, categories[vote]) for vote, number in numbers.items())
    append([{"kind": "categories", "day": day, "vote": number, "categories": new} for number, new in changed], last)
    if withheld := [event for event in events if event.kind in KINDS]:
        _withhold(withheld, moment)


def _votes(casts: Sequence[VoteEvent], categories: Mapping[UUID, list[str]], day: str) -> Iterator[Entry]:
    unranked = [event.vote_id for event in casts if event.vote_id and not event.ranked]
    reasons = dict(Vote.objects.filter(pk__in=unranked).values_list("pk", "unranked")) if unranked else {}
    sealed = {names.vote(event.vote_id or event.id): event for event in casts}
    for receipt in sorted(sealed):
        event = sealed[receipt]
        yield {
            "kind": "vote",
            "day": day,
            "a": names.contestant(event.contestant_a_id),
            "b": names.contestant(event.contestant_b_id),
            "choice": event.choice,
            "p": event.probability,
            "categories": categories.get(event.vote_id or event.id, sorted(set(event.categories))),
            "ranked": event.ranked,
            "reason": reasons.get(event.vote_id, "") if event.vote_id else "",
            "receipt": receipt,
        }


def _categories(events: Iterable[VoteEvent]) -> dict[UUID, list[str]]:
    """The categories that votes have by these events, of those votes whose categories were changed."""
    changes = [event for event in events if event.kind == EventKind.RECATEGORISE]
    changes.sort(key=lambda event: (event.created_at, event.id))
    return {event.vote_id: sorted(set(event.categories)) for event in changes if event.vote_id}


def _withhold(events: Sequence[VoteEvent], moment: datetime) -> None:
    day = moment.date().isoformat()
    rows = [(_exclusion(event, day), {"event": event, "sealed_at": moment}) for event in events]
    _append(WithheldEntry, rows, withheld_head())


def _exclusion(event: VoteEvent, day: str) -> Entry:
    """The nonce keeps a guess at an entry from being tried against its hash."""
    receipt = names.vote(event.vote_id or event.id)
    return {"kind": str(event.kind), "day": day, "receipt": receipt, "nonce": secrets.token_hex(16)}


def _numbers(votes: Iterable[UUID]) -> dict[UUID, int]:
    """The numbers of the votes' lines, of those that have one."""
    receipts = {names.vote(vote): vote for vote in votes}
    known = LogEntry.objects.filter(receipt__in=list(receipts)) if receipts else LogEntry.objects.none()
    return {receipts[receipt]: number for receipt, number in known.values_list("receipt", "number")}


def _head(model: type[LogEntry] | type[WithheldEntry]) -> chain.Head:
    last = model.objects.order_by("-number").values_list("number", "hash").first()
    return chain.Head(*last) if last else chain.Head()
