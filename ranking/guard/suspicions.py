"""Writing down what the watch found, flagging the votes, and taking it back. Every act leaves an audit entry."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from arena import audit, clock, flagging, voiding
from arena.audit import Actor
from arena.models import VoteEvent
from arena.models.votes import EventKind
from ranking.models import Suspicion

RULES = frozenset({"cap", "duplicate", "haste", "swarm"})  # everything else is a test of whoever casts the votes


def raise_against(named: Suspicion, votes: Collection[UUID]) -> int:
    """Flag the votes under this suspicion, a new one or one that is known; returns how many were flagged.

    Against a voter all earlier votes are flagged, too. Nothing happens where staff has let the subject go.
    Call inside a transaction.
    """
    key = {"detector": named.detector, "kind": named.kind, "code": named.code, "contestant": named.contestant}
    known = Suspicion.objects.select_for_update().filter(**key).first()
    if _cleared(named):
        return 0
    flagged = flagging.flag({*votes, *_earlier(named)}, named.detector)
    if not flagged:
        return 0
    suspicion = known or named
    for name in ("way", "statistic", "fisher", "e_peak"):
        setattr(suspicion, name, getattr(named, name))
    suspicion.updated_at = clock.now()
    suspicion.vote_ids = [*suspicion.vote_ids, *flagged]
    suspicion.votes = len(suspicion.vote_ids)
    suspicion.save()
    audit.record(None, "flag", suspicion, after={"votes": len(flagged), "statistic": suspicion.statistic})
    return len(flagged)


def clear(suspicion: Suspicion, actor: Actor) -> int:
    """The votes count again, and no rule flags them or this subject for the same reason; returns how many count again."""
    with transaction.atomic():
        locked = Suspicion.objects.select_for_update(of=("self",)).get(pk=suspicion.pk)
        if locked.cleared_at:
            return 0
        back = flagging.unflag(locked.vote_ids, "cleared")
        locked.cleared_at, locked.cleared_by_id = clock.now(), getattr(actor, "pk", None)
        locked.save(update_fields=["cleared_at", "cleared_by"])
        audit.record(actor, "unflag", locked, {"votes": locked.votes}, {"votes": 0})
        transaction.on_commit(voiding.ask_for_a_fit)
    return len(back)


def confirm(suspicion: Suspicion, actor: Actor) -> bool:
    """Somebody looked, and the votes stay out: nothing is left to decide. False when it is decided already."""
    with transaction.atomic():
        open_ = Suspicion.objects.open().filter(pk=suspicion.pk)
        if not open_.update(confirmed_at=clock.now(), confirmed_by=getattr(actor, "pk", None)):
            return False
        audit.record(actor, "confirm", suspicion, {"open": True}, {"open": False, "votes": suspicion.votes})
    return True


def _cleared(named: Suspicion) -> bool:
    """Staff has let this subject go: of the same rule, or, since all tests ask the same of it, of any test."""
    about = Suspicion.objects.filter(kind=named.kind, code=named.code, cleared_at__isnull=False)
    if named.detector in RULES:
        about = about.filter(detector=named.detector, contestant=named.contestant)
    return about.exclude(detector__in=RULES - {named.detector}).exists()


def _earlier(named: Suspicion) -> set[UUID]:
    """All votes of a suspected voter, however long ago; a cap is about the excess alone."""
    if named.kind != Suspicion.Kind.VOTER or named.detector == "cap":
        return set()
    casts = VoteEvent.objects.filter(judge=named.code, origin="live", kind=EventKind.CAST, vote__isnull=False)
    return set(casts.values_list("vote_id", flat=True))
