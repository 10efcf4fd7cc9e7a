"""Beginning and ending a round, and how far it is."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from arena import audit, clock
from arena.errors import Refused
from arena.models import ExpertLabel, RatingRound
from arena.randomness import keyed_int


@dataclass(frozen=True, slots=True)
class Progress:
    """`mine` of `wanted` battles judged by this rater (skipped ones too); `done` battles that have all their labels."""

    round: RatingRound
    mine: int
    done: int

    @property
    def share(self) -> float:
        return min(self.mine / self.round.wanted, 1.0)


def begin(round: RatingRound, actor: User) -> None:
    """Store a new round with a seed that nobody chose. Its admin page leaves the trail."""
    round.seed, round.created_by = keyed_int("rating round", round.pk), actor
    round.save(force_insert=True)


@transaction.atomic
def close(round: RatingRound, actor: User) -> bool:
    """End a round: it takes no more labels, and keeps those it has. False when it was closed already."""
    ended = RatingRound.objects.filter(pk=round.pk, closed_at__isnull=True).update(closed_at=clock.now())
    if ended:
        audit.record(actor, "close", round, {"open": True}, {"open": False})
    return bool(ended)


def open_rounds(rater: User) -> list[Progress]:
    """Every round that takes labels, newest first."""
    return [_progress(one, rater) for one in RatingRound.objects.filter(closed_at__isnull=True)]


def progress(round: RatingRound, rater: User) -> Progress:
    return _progress(round, rater)


def _progress(round: RatingRound, rater: User) -> Progress:
    labels = ExpertLabel.objects.filter(item__round=round)
    given = round.items.annotate(given=Count("labels", filter=~Q(labels__choice="")))
    return Progress(
        round,
        mine=labels.filter(rater_name=rater.get_username()).count(),
        done=given.filter(given__gte=round.labels_each).count(),
    )


def must_be_open(round: RatingRound) -> None:
    """Refused 410 when the round has ended."""
    if round.closed_at:
        raise Refused(410, "closed", _("This round has ended and takes no more labels. Thank you."))
