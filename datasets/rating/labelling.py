"""Storing what an expert says. A label is given once; the last one can be taken back for a short while, as anybody slips."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from arena import clock
from arena.errors import Refused
from arena.models import Choice, ExpertLabel, RatingItem, RatingRound
from arena.models.rating import Skip
from arena.randomness import keyed_int
from datasets.rating import drawing, rounds

MIRRORED = {Choice.A: Choice.B, Choice.B: Choice.A}


def swapped(item: RatingItem, rater: User) -> bool:
    """Whether this rater sees the battle's B on the left: a coin per rater and battle, the same on every look."""
    return bool(keyed_int("rating sides", item.pk, rater.get_username(), bits=1))


def label(round: RatingRound, item_id: UUID, rater: User, choice: str) -> ExpertLabel:
    """`choice` as the rater saw the sides (a = left), or `skip:<why>`.

    Refused 400 for anything else, 404 for a battle of another round, 409 when it is labelled already or may not be shown any
    more, 410 after the round.
    """
    rounds.must_be_open(round)
    said, skip = _said(choice)
    shown = drawing.find(round, item_id)
    if shown is None:
        if not round.items.filter(pk=item_id).exists():
            raise Refused(404, "item", _("There is no such battle in this round."))
        raise Refused(409, "withheld", _("This conversation may no longer be shown. Your label was not stored."))
    turned = swapped(shown.item, rater)
    try:
        with transaction.atomic():
            return ExpertLabel.objects.create(
                item=shown.item,
                rater=rater,
                rater_name=rater.get_username(),
                choice=MIRRORED.get(said, said) if said and turned else said or "",
                skip=skip,
                swapped=turned,
            )
    except IntegrityError:
        raise Refused(409, "labelled", _("You have judged this battle already.")) from None


def take_back(round: RatingRound, rater: User) -> bool:
    """Remove this rater's last label of the round, if it is younger than settings.RATING_UNDO_S."""
    rounds.must_be_open(round)
    since = clock.now() - timedelta(seconds=settings.RATING_UNDO_S)
    mine = ExpertLabel.objects.filter(item__round=round, rater=rater, created_at__gte=since)
    last = mine.order_by("-created_at", "-pk").first()
    return bool(last and last.delete()[0])


def _said(choice: str) -> tuple[Choice | None, str]:
    kind, _colon, why = choice.partition(":")
    if kind == "skip" and why in Skip.values:
        return None, why
    if choice in Choice.values:
        return Choice(choice), ""
    raise Refused(400, "choice", _("Please choose one of the answers, a tie, both bad, or a reason to skip."))
