"""What was noticed about voters: suspicions of the watch, and how well votes agree with experts."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7


class SuspicionQuerySet(models.QuerySet["Suspicion"]):
    def open(self) -> "SuspicionQuerySet":
        """Nobody has decided on them yet: their votes are out meanwhile."""
        return self.filter(cleared_at=None, confirmed_at=None)

    def open_by_detector(self) -> dict[str, int]:
        counted = self.open().order_by("detector").values_list("detector").annotate(n=models.Count("pk"))
        return dict(counted)


class Suspicion(models.Model):
    """What the watch found, about whom, and which votes it took out. Staff confirms it, or takes it back once and for all.

    `code` names the subject under a key: a voter as `VoteEvent.judge` does, a prefix or a prompt by a keyed hash; single votes
    and windows by their day, so that clearing one says nothing about later ones.
    """

    class Kind(models.TextChoices):
        VOTER = "voter", _("voter")
        PREFIX = "prefix", _("young voters of one address prefix")
        PROMPT = "prompt", _("one prompt")
        WINDOW = "window", _("young voters of so many days")
        VOTES = "votes", _("single votes")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    detector = models.CharField(max_length=20)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    code = models.CharField(max_length=64, blank=True)
    way = models.CharField(max_length=20, blank=True, help_text=_("What the votes look like."))
    contestant = models.ForeignKey("arena.Contestant", models.CASCADE, null=True, blank=True, related_name="+")
    statistic = models.FloatField(default=0.0, help_text=_("Of the detector: see docs/abuse.md."))
    fisher = models.BooleanField(
        _("Fisher's rule"),
        null=True,
        blank=True,
        help_text=_("Would the paper's rule flag this voter? It decides nothing."),
    )
    e_peak = models.FloatField(
        _("peak of the e-process"),
        null=True,
        blank=True,
        help_text=_("log10; from p-values alone, which know no way to vote badly. It decides nothing."),
    )
    votes = models.PositiveIntegerField(help_text=_("Votes that were taken out."))
    vote_ids = ArrayField(models.UUIDField(), default=list, editable=False)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True, help_text=_("Somebody looked: these votes stay out."))
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    objects = SuspicionQuerySet.as_manager()

    class Meta:
        verbose_name = _("suspicion")
        verbose_name_plural = _("suspicions")
        indexes = [
            models.Index(fields=["-updated_at"]),
            models.Index(fields=["detector"], condition=Q(cleared_at=None, confirmed_at=None), name="suspicions_open"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["detector", "kind", "code", "contestant"], name="suspicion_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"{self.detector}: {self.kind} {self.code[:10]}"


class AgreementReport(models.Model):
    """The newest comparison of the crowd with named experts: `figures` as ranking.agreement writes them. At most one row."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    fingerprint = models.CharField(max_length=64, help_text=_("Of the labels and votes that it was computed from."))
    figures = models.JSONField()
    computed_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("agreement report")
        verbose_name_plural = _("agreement reports")

    def __str__(self) -> str:
        return f"agreement of {self.computed_at:%Y-%m-%d %H:%M}"
