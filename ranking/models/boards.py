"""Boards that were fitted from the counts, what stays of them, and those that could not be fitted."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7


class BoardSnapshotQuerySet(models.QuerySet["BoardSnapshot"]):
    def published(self) -> "BoardSnapshotQuerySet":
        """What the public may see. Everything else is for operators."""
        return self.filter(published_at__isnull=False)

    def fits(self) -> "BoardSnapshotQuerySet":
        """Of all absorbed events: what operators see. The others leave out exclusions that are not public yet."""
        return self.filter(public_counts=False)


class BoardSnapshot(models.Model):
    """A fit of one board (origin, category, with style control or without): `board` as ranking.board.board_format describes it.

    Public from `published_at` on.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    origin = models.CharField(max_length=60)
    category = models.CharField(max_length=40, blank=True)
    controlled = models.BooleanField(default=False, help_text=_("The effect of style on votes is taken out."))
    votes = models.BigIntegerField()
    seed = models.BigIntegerField()
    board = models.JSONField()
    fitted_at = models.DateTimeField(default=now)
    published_at = models.DateTimeField(null=True, blank=True, help_text=_("Empty = operators alone see it."))
    public_counts = models.BooleanField(
        default=False, help_text=_("Fitted as the public log stands: without exclusions that are not public yet.")
    )
    log_entry = models.PositiveBigIntegerField(
        null=True, blank=True, help_text=_("The entry of the vote log that this board was published with.")
    )

    objects = BoardSnapshotQuerySet.as_manager()

    class Meta:
        verbose_name = _("board snapshot")
        verbose_name_plural = _("board snapshots")
        indexes = [models.Index(fields=["origin", "category", "controlled", "-fitted_at"])]

    def __str__(self) -> str:
        return f"{self.origin} board of {self.fitted_at:%Y-%m-%d %H:%M}"


class BoardHistoryQuerySet(models.QuerySet["BoardHistory"]):
    def of(self, origin: str, category: str, controlled: bool) -> "BoardHistoryQuerySet":
        return self.filter(origin=origin, category=category, controlled=controlled)


class BoardHistory(models.Model):
    """What stays of a published board (`id` is its snapshot's): ratings over time, for every model in one small row.

    `points`: contestant id -> [rating, lower, upper, rank, votes], see `ranking.fits.history`.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    origin = models.CharField(max_length=60)
    category = models.CharField(max_length=40, blank=True)
    controlled = models.BooleanField(default=False)
    votes = models.BigIntegerField()
    points = models.JSONField()
    published_at = models.DateTimeField()

    objects = BoardHistoryQuerySet.as_manager()

    class Meta:
        verbose_name = _("history of a board")
        verbose_name_plural = _("history of boards")
        indexes = [
            models.Index(fields=["origin", "category", "controlled", "-published_at"], name="board_history_order")
        ]

    def __str__(self) -> str:
        return f"{self.origin} board of {self.published_at:%Y-%m-%d %H:%M}"


class BoardTrouble(models.Model):
    """A board whose last fit failed, and how often; the row goes with the next fit that succeeds."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    origin = models.CharField(max_length=60)
    category = models.CharField(max_length=40, blank=True)
    controlled = models.BooleanField(default=False)
    error = models.CharField(max_length=300)
    times = models.PositiveIntegerField(default=1)
    since = models.DateTimeField(default=now)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("board that could not be fitted")
        verbose_name_plural = _("boards that could not be fitted")
        constraints = [models.UniqueConstraint(fields=["origin", "category", "controlled"], name="board_trouble_once")]

    def __str__(self) -> str:
        return f"{self.board}: {self.error}"

    @property
    def board(self) -> str:
        parts = [self.origin, self.category, "style control" if self.controlled else ""]
        return " · ".join(part for part in parts if part)


class FitRunQuerySet(models.QuerySet["FitRun"]):
    def unfinished(self) -> "FitRunQuerySet":
        """Going on, killed, or failed."""
        return self.filter(Q(ended_at=None) | ~Q(error=""))


class FitRun(models.Model):
    """One row: the last run over all boards (`ranking.fits.runs`). Without an end it is going on, or was killed."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    looked = models.PositiveIntegerField(default=0, help_text=_("Boards that were looked at."))
    fitted = models.PositiveIntegerField(default=0, help_text=_("Boards whose votes had changed."))
    failed = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0, help_text=_("Boards that the time did not suffice for."))
    interrupted = models.PositiveIntegerField(
        default=0, help_text=_("Runs right before it that were killed or failed.")
    )
    error = models.CharField(max_length=300, blank=True, help_text=_("What ended the run before its time."))

    objects = FitRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run of fits")
        verbose_name_plural = _("runs of fits")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="fit_run_is_one_row")]

    def __str__(self) -> str:
        return f"{self.begun_at:%Y-%m-%d %H:%M}"
