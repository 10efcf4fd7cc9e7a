"""Which battle a rater is shown next: a random sample of voted battles, drawn while raters ask, each let through the gate.

The sample's order is that of md5(battle id, seed), read in a circle: a battle that the gate keeps in is passed over, and asked of
it again in the next turn, so that what passes moderation later, or is voted on later, can still be drawn. What a rater sees has
passed the gate in the same request.
"""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import MD5, Cast, Concat

from arena.models import Battle, ExpertLabel, RatingItem, RatingRound, VoteEvent
from arena.models.battles import BattleState, Origin
from arena.models.votes import EventKind
from datasets import gate
from datasets.gate import Decision
from datasets.reasons import ADMITTED


@dataclass(frozen=True, slots=True)
class Shown:
    """A battle that passed the gate just now, for one rater."""

    item: RatingItem
    decision: Decision


def next_for(round: RatingRound, rater: User) -> Shown | None:
    """The next battle for this rater, or None when nothing is left for them (or nothing that may be shown now).

    Battles that other raters have begun come first, so that the same ones collect all of their labels.
    """
    return _first_admitted(_open_items(round, rater)) or _first_admitted(_extend(round))


def find(round: RatingRound, item_id: UUID) -> Shown | None:
    """One battle of the round, None when there is none or it may not be shown now."""
    return _first_admitted(list(round.items.filter(pk=item_id)))


def _open_items(round: RatingRound, rater: User) -> list[RatingItem]:
    mine = ExpertLabel.objects.filter(item=OuterRef("pk"), rater_name=rater.get_username())
    given = Count("labels", filter=~Q(labels__choice=""))
    waiting = round.items.exclude(Exists(mine)).annotate(given=given).filter(given__lt=round.labels_each)
    return list(waiting.order_by("-given", "position")[: settings.RATING_LOOKS])


def _first_admitted(items: list[RatingItem]) -> Shown | None:
    decisions = {one.battle_id: one for one in gate.admit([item.battle_id for item in items])} if items else {}
    for item in items:
        decision = decisions.get(item.battle_id)
        if decision and decision.reason == ADMITTED:
            return Shown(item, decision)
    return None


@transaction.atomic
def _extend(round: RatingRound) -> list[RatingItem]:
    """Draw on, at most settings.RATING_LOOKS battles further; the new items are those that pass the gate.

    The round's row is locked, so that two raters never draw the same stretch.
    """
    locked = RatingRound.objects.select_for_update().get(pk=round.pk)
    missing = locked.wanted - locked.items.count()
    if missing <= 0:
        return []
    looks = settings.RATING_LOOKS
    stretch = list(_candidates(locked, key__gt=locked.reached)[:looks])
    stretch += list(_candidates(locked, key__lte=locked.reached)[: looks - len(stretch)])
    decisions = gate.admit([pk for pk, _key in stretch])
    passing = {one.battle_id for one in decisions if one.reason == ADMITTED}
    chosen = [(pk, key) for pk, key in stretch if pk in passing][:missing]
    position = locked.items.count()
    made = [RatingItem(round=locked, battle_id=pk, position=position + i) for i, (pk, _key) in enumerate(chosen)]
    if stretch:
        full = len(chosen) == missing
        locked.reached = chosen[-1][1] if full else stretch[-1][1]
        locked.save(update_fields=["reached"])
    return RatingItem.objects.bulk_create(made)


def _candidates(round: RatingRound, **bound: str) -> QuerySet[Battle, tuple[UUID, str]]:
    """(id, key) of live battles with a vote that counts, without those of the round, in its order."""
    casts = VoteEvent.objects.filter(vote__battle=OuterRef("pk"), kind=EventKind.CAST, ranked=True)
    key = MD5(Concat(Cast("pk", CharField()), Value(f" {round.seed}")))
    voted = Battle.objects.filter(Exists(casts), origin=Origin.LIVE, state=BattleState.VOTED)
    drawn = RatingItem.objects.filter(round=round, battle=OuterRef("pk"))
    rows = voted.annotate(key=key).filter(**bound).exclude(Exists(drawn))
    return rows.order_by("key").values_list("pk", F("key"))
