"""Rows of the vote log. Both chains only grow: the database refuses to change or delete an entry."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

PUBLICATION = "publication"  # the kind of the lines that end what is public


class LogEntryQuerySet(models.QuerySet["LogEntry"]):
    def public_end(self) -> int | None:
        """The number of the last public line: that of the last publication."""
        publications = self.filter(kind=PUBLICATION).order_by("-number")
        return publications.values_list("number", flat=True).first()


class LogEntry(models.Model):
    """One line of the public chain. `body` is that line, byte for byte; `hash` is its SHA-256, which the next line names."""

    number = models.PositiveBigIntegerField(primary_key=True)
    kind = models.CharField(max_length=12)
    body = models.TextField()
    hash = models.CharField(max_length=64)
    receipt = models.CharField(max_length=64, blank=True, help_text=_("SHA-256 of the vote's receipt."))
    about = models.PositiveBigIntegerField(
        null=True,
        help_text=_("The line of the vote that this line changes; of a publication, how many exclusions were sealed."),
    )

    objects = LogEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("log entry")
        verbose_name_plural = _("log entries")
        indexes = [
            models.Index(fields=["-number"], condition=Q(kind=PUBLICATION), name="log_publications"),
            models.Index(fields=["about"], condition=Q(about__isnull=False), name="log_about"),
        ]
        constraints = [models.UniqueConstraint(fields=["receipt"], condition=~Q(receipt=""), name="log_receipt_once")]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"


class WithheldEntry(models.Model):
    """One line of the chain of exclusions, sealed at once and published in a later batch."""

    number = models.PositiveBigIntegerField(primary_key=True)
    event = models.OneToOneField("arena.VoteEvent", models.PROTECT, related_name="+")
    body = models.TextField()
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, help_text=_("When the public log and the public counts took it in."))

    class Meta:
        verbose_name = _("withheld exclusion")
        verbose_name_plural = _("withheld exclusions")
        indexes = [models.Index(fields=["sealed_at"], condition=Q(released_at=None), name="withheld_unreleased")]

    def __str__(self) -> str:
        return f"withheld {self.number}"


class PublishingState(models.Model):
    """One row: the last moment of the schedule that was served. A late publication serves it once, whoever comes first."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    served = models.DateTimeField()

    class Meta:
        verbose_name = _("publishing state")
        verbose_name_plural = _("publishing states")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="publishing_state_is_one_row")]

    def __str__(self) -> str:
        return f"{self.served:%Y-%m-%d %H:%M}"


class SealingState(models.Model):
    """One row while votes of before the log are being sealed (`ranking.votelog.earlier`): how far. It goes when all are in."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    exclusions = models.BooleanField(default=False, help_text=_("Votes are in; what was excluded is next."))
    last = models.UUIDField(help_text=_("The last event that is sealed."))
    sealed = models.PositiveBigIntegerField(default=0, help_text=_("Events so far."))

    class Meta:
        verbose_name = _("sealing of earlier votes")
        verbose_name_plural = _("sealing of earlier votes")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="sealing_state_is_one_row")]

    def __str__(self) -> str:
        return f"{self.sealed} sealed"
