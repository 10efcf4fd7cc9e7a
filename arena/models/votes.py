"""Votes and the events that tell the ranking about them. Insert-only: a correction is a new event."""

from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7
from arena.models.battles import Battle, Origin, Turn
from arena.models.contestants import Contestant
from arena.models.visitors import Visitor


class Choice(models.TextChoices):
    A = "a", _("A is better")
    TIE = "tie", _("Tie")
    BOTH_BAD = "both_bad", _("Both bad")
    B = "b", _("B is better")


class Unranked(models.TextChoices):
    """The public reasons why a vote does not count; exclusions for abuse are not among them."""

    IDENTITY = "identity", _("an answer showed who wrote it")
    STOPPED = "stopped", _("an answer was stopped")
    EARLY = "early", _("an answer ended early")


class VoteQuerySet(models.QuerySet["Vote"]):
    def this_week(self) -> "VoteQuerySet":
        """Votes of the last seven days by visitors of this site; demo votes have none."""
        return self.filter(created_at__gte=now() - timedelta(days=7), battle__origin=Origin.LIVE)


class Vote(models.Model):
    """What a person said about one battle, once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    battle = models.OneToOneField(Battle, models.PROTECT, null=True, blank=True, related_name="vote")
    turn = models.ForeignKey(Turn, models.PROTECT, related_name="+", help_text=_("The last turn the voter had seen."))
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="votes")
    choice = models.CharField(max_length=8, choices=Choice.choices)
    identity_mark = models.BooleanField(default=False)
    unranked = models.CharField(max_length=8, choices=Unranked.choices, blank=True)
    seconds_to_vote = models.FloatField(help_text=_("From ready to the vote."))
    machine = models.BooleanField(default=False, help_text=_("The browser said that it is a program."))
    watched = models.BooleanField(default=False, help_text=_("The watch on abuse has looked at it."))
    created_at = models.DateTimeField(default=now)

    objects = VoteQuerySet.as_manager()

    class Meta:
        verbose_name = _("vote")
        verbose_name_plural = _("votes")
        indexes = [models.Index(fields=["id"], condition=Q(watched=False), name="vote_unwatched")]
        constraints = [
            # Joined by `simulation` in a later release: exactly one of the two is set.
            models.CheckConstraint(condition=Q(battle__isnull=False), name="vote_has_one_subject"),
            models.CheckConstraint(condition=Q(seconds_to_vote__gte=0), name="vote_time_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.choice} in {self.battle_id}"


class EventKind(models.TextChoices):
    CAST = "cast", _("cast")
    VOID = "void", _("void")
    FLAG = "flag", _("flag")
    UNFLAG = "unflag", _("unflag")
    RECATEGORISE = "recategorise", _("recategorise")


class VoteEvent(models.Model):
    """Appended in the vote's own transaction; `ranking.counts.absorb()` alone turns events into counts.

    Of FLAG and UNFLAG the latest counts, of RECATEGORISE too; a VOID is final. `reason` is for staff and never shown to voters.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=12, choices=EventKind.choices, default=EventKind.CAST)
    origin = models.CharField(max_length=60, default=Origin.LIVE)
    vote = models.ForeignKey(Vote, models.PROTECT, null=True, blank=True, related_name="events")
    contestant_a = models.ForeignKey(Contestant, models.PROTECT, related_name="+")
    contestant_b = models.ForeignKey(Contestant, models.PROTECT, related_name="+")
    choice = models.CharField(max_length=8, choices=Choice.choices)
    probability = models.FloatField(default=1.0)
    categories = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text=_("Beside overall, which every vote is in; a recategorise event has the whole new list."),
    )
    judge = models.CharField(
        max_length=32,
        blank=True,
        help_text=_("Keyed hash of the visitor, or of the judge that an import names; empty = unknown."),
    )
    reason = models.CharField(max_length=60, blank=True, help_text=_("Which detector or rule a void or flag is from."))
    ranked = models.BooleanField(default=True)
    absorbed = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("vote event")
        verbose_name_plural = _("vote events")
        indexes = [
            models.Index(fields=["created_at"], condition=Q(absorbed=False), name="vote_event_unabsorbed"),
            models.Index(fields=["judge", "created_at"], condition=~Q(judge=""), name="vote_event_judge"),
            models.Index(fields=["origin", "id"], name="vote_event_origin"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(contestant_a=F("contestant_b")), name="vote_event_pair_distinct"),
            models.CheckConstraint(condition=Q(probability__gt=0, probability__lte=1), name="vote_event_probability"),
            models.UniqueConstraint(fields=["vote"], condition=Q(kind="cast"), name="vote_cast_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.choice} ({self.origin})"
