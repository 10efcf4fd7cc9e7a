"""Writing what a vote's categories and style are: as soon as its messages are enriched, and anew when rules or detectors change.

`sweep` (at every fit) looks at recent votes; a job goes through all of history after a change, and is started by itself once the
enrichment of history is done. Both do nothing for a vote that has what it should have. A vote's style row and its recategorise
event are written in one transaction, under the lock of the vote. Categories that somebody imported (`VoteLabel`) stay.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from arena import clock, jobs
from arena.ids import uuid7_floor
from arena.models import Job, Message, Side, Vote, VoteEvent
from arena.models.conversations import Role
from arena.models.operations import JobState
from arena.models.votes import EventKind
from arena.moderation import enrichment
from arena.voiding import COPIED
from ranking import categories
from ranking.counting import labels
from ranking.counting.labels import Bounds, Heard
from ranking.models import VoteLabel, VoteStyle

KIND, TASK = "label", "ranking.tasks.label_history"
FIRST = UUID(int=0)
MEASURES = ("language", "chars", "headers", "lists", "bold", "fences")
SIZES = tuple(labels.style([]))


def version() -> str:
    """Of everything that decides: these rules, their bounds, the detectors."""
    bounds = _bounds()
    return f"{labels.VERSION}+{enrichment.VERSION}+{bounds.long}/{bounds.short}"


def sweep() -> int:
    """Label recent votes that lack it, and see to history; returns how many votes were labelled."""
    since = uuid7_floor(clock.now() - timedelta(seconds=settings.ENRICH_LOOKBACK_S))
    done = sum(label(batch) for batch in _batches(lacking(), since))
    see_to_history()
    return done


def lacking() -> QuerySet[VoteEvent]:
    """Casts of votes in battles whose style row is missing or of another version. Unranked votes never count, so need none."""
    casts = VoteEvent.objects.filter(kind=EventKind.CAST, ranked=True, vote__isnull=False)
    return casts.exclude(style__version=version())


def _batches(casts: QuerySet[VoteEvent], since: UUID) -> Iterable[list[VoteEvent]]:
    casts, last = casts.order_by("pk"), since
    while batch := list(casts.filter(pk__gt=last)[: settings.LABEL_BATCH]):
        yield batch
        last = batch[-1].pk


def label(casts: Sequence[VoteEvent]) -> int:
    """Write what is missing of these votes; returns how many got their style. Those whose messages wait for detectors wait, too.

    Safe to call at once from anywhere: a vote that another transaction holds is left to it.
    """
    with transaction.atomic():
        locking = Vote.objects.select_for_update(no_key=True, skip_locked=True, of=("self",)).select_related(
            "battle", "turn"
        )
        votes = {vote.pk: vote for vote in locking.filter(pk__in=[cast.vote_id for cast in casts]).order_by("pk")}
        held = [cast for cast in casts if cast.vote_id in votes]
        heard = _heard([votes[cast.vote_id] for cast in held if cast.vote_id])
        given, current = _given(held), _current(held)
        styles, events = [], []
        for cast in held:
            said = heard.get(cast.vote_id)
            by_rule = labels.of_vote(said, _bounds()) if said else [c for c in current[cast.pk] if _by_rule(c)]
            wanted = sorted({*by_rule, *given[cast.pk]})
            if wanted != current[cast.pk]:
                events.append(_recategorised(cast, wanted))
            if said:
                styles.append(VoteStyle(event=cast, version=version(), **labels.style(said)))
        VoteEvent.objects.bulk_create(events)
        VoteStyle.objects.bulk_create(
            styles, update_conflicts=True, unique_fields=["event"], update_fields=[*SIZES, "version"]
        )
    return len(styles)


def _heard(votes: Sequence[Vote]) -> dict[UUID | None, list[Heard]]:
    """What detectors found in the messages before each vote; votes with one that waits, or that was erased, are missing."""
    place = {vote.battle.conversation_id(side): (vote, side) for vote in votes if vote.battle for side in Side}
    silent = ExpressionWrapper(Q(text=""), output_field=BooleanField())
    found = Message.objects.filter(conversation__in=list(place), post_reveal=False).annotate(silent=silent)
    measured = [f"enrichment__{name}" for name in ("version", *MEASURES)]
    rows = found.values_list("conversation_id", "position", "role", "silent", "conversation__erased_at", *measured)
    heard: dict[UUID | None, list[Heard]] = defaultdict(list)
    waiting = set()
    for conversation, position, role, is_silent, erased, by, *measures in rows:
        vote, side = place[conversation]
        if position >= 2 * vote.turn.number:
            continue
        prompt = role == Role.USER
        if erased or (by != enrichment.VERSION and not is_silent):
            waiting.add(vote.pk)
        elif is_silent:
            heard[vote.pk].append(Heard(side, prompt))
        else:
            heard[vote.pk].append(Heard(side, prompt, *measures))
    return {vote: said for vote, said in heard.items() if vote not in waiting}


def _given(casts: Sequence[VoteEvent]) -> dict[UUID, set[str]]:
    found: dict[UUID, set[str]] = defaultdict(set)
    for event, name in VoteLabel.objects.filter(event__in=[cast.pk for cast in casts]).values_list("event_id", "name"):
        found[event].add(name)
    return found


def _current(casts: Sequence[VoteEvent]) -> dict[UUID, list[str]]:
    """The categories that each vote has now, sorted."""
    votes = [cast.vote_id for cast in casts]
    changes = VoteEvent.objects.filter(vote__in=votes, kind=EventKind.RECATEGORISE).order_by("created_at", "id")
    latest: dict[UUID | None, list[str]] = dict(changes.values_list("vote_id", "categories"))
    return {cast.pk: sorted(set(latest.get(cast.vote_id, cast.categories))) for cast in casts}


def _by_rule(name: str) -> bool:
    found = categories.known(name)
    return found is not None and found.rule


def _recategorised(cast: VoteEvent, names: list[str]) -> VoteEvent:
    same = {name: getattr(cast, name) for name in COPIED if name != "categories"}
    return VoteEvent(kind=EventKind.RECATEGORISE, categories=names, created_at=clock.now(), **same)


def _bounds() -> Bounds:
    return Bounds(settings.LONG_PROMPT_CHARS, settings.SHORT_PROMPT_CHARS)


# --- History ----------------------------------------------------------------------------------------------------------


def see_to_history() -> Job | None:
    """After a change of rules or detectors, start the job over all votes, once, when history is enriched by these detectors."""
    if Job.objects.filter(kind=KIND, arguments__version=version()).exclude(state=JobState.FAILED).exists():
        return None
    enriched = Job.objects.filter(kind=enrichment.KIND, arguments__version=enrichment.VERSION, state=JobState.DONE)
    failed = Job.objects.filter(kind=KIND, arguments__version=version(), created_at__gte=clock.now() - enrichment.AGAIN)
    return (
        jobs.start(KIND, TASK, "export", None, version=version()) if enriched.exists() and not failed.exists() else None
    )


def run(job_id: UUID) -> int | None:
    """Run the job if nobody has it; returns how many votes were labelled, None when another worker has it."""
    with jobs.running(job_id) as progress:
        return None if progress is None else label_all(progress)


def label_all(progress: jobs.Progress | None = None) -> int:
    """Every vote that lacks it, oldest first. Begun again it goes on where it was."""
    checked = done = 0
    for batch in _batches(lacking(), FIRST):
        done, checked = done + label(batch), checked + len(batch)
        if progress:
            progress.at(checked, f"{done} votes labelled")
    if progress:
        progress.last(checked, f"{done} votes labelled")
    return done
