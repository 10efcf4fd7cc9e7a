"""What the ranking keeps: absorbed counts, and the boards that were fitted from them."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7
from ranking.votelog.models import LogEntry, PublishingState, WithheldEntry

__all__ = ["BoardSnapshot", "JudgeCount", "LogEntry", "PairCount", "PublishingState", "VoteStyle", "WithheldEntry"]

IMPORT = "import:"  # an origin of imported votes is this and the import's slug


class PairCount(models.Model):
    """How often a pair ended in an outcome: one cell per origin, category, pair, side of `first` and outcome.

    `first` is the contestant with the lower id. `inverse_p` and `inverse_p2` are the sums of 1/P and 1/P^2 over the
    battles of the cell, P being the pair's probability when it was drawn (Chatbot Arena, equation 7).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    origin = models.CharField(max_length=60)
    category = models.CharField(max_length=40, blank=True)
    first = models.ForeignKey("arena.Contestant", models.PROTECT, related_name="+")
    second = models.ForeignKey("arena.Contestant", models.PROTECT, related_name="+")
    first_was_a = models.BooleanField()
    outcome = models.CharField(max_length=8, help_text=_("first, second, tie or both_bad"))
    count = models.BigIntegerField(default=0)
    inverse_p = models.FloatField(default=0.0)
    inverse_p2 = models.FloatField(default=0.0)

    class Meta:
        verbose_name = _("pair count")
        verbose_name_plural = _("pair counts")
        constraints = [
            models.UniqueConstraint(
                fields=["origin", "category", "first", "second", "first_was_a", "outcome"], name="pair_count_cell"
            ),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="pair_count_ordered"),
            models.CheckConstraint(condition=Q(count__gte=0), name="pair_count_not_negative"),
            models.CheckConstraint(
                condition=Q(outcome__in=["first", "second", "tie", "both_bad"]), name="pair_count_outcome"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} {self.outcome} {self.second_id}: {self.count}"


class JudgeCount(models.Model):
    """How often a judge ended a pair in an outcome: what estimators that are clustered by judge start from.

    `judge` is `VoteEvent.judge`. The empty judge stands for everybody unknown: its battles are no cluster, each is one.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    origin = models.CharField(max_length=60)
    judge = models.CharField(max_length=32, blank=True)
    first = models.ForeignKey("arena.Contestant", models.PROTECT, related_name="+")
    second = models.ForeignKey("arena.Contestant", models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=8, help_text=_("first, second, tie or both_bad"))
    count = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("judge count")
        verbose_name_plural = _("judge counts")
        constraints = [
            models.UniqueConstraint(fields=["origin", "judge", "first", "second", "outcome"], name="judge_count_cell"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="judge_count_ordered"),
            models.CheckConstraint(condition=Q(count__gte=0), name="judge_count_not_negative"),
            models.CheckConstraint(
                condition=Q(outcome__in=["first", "second", "tie", "both_bad"]), name="judge_count_outcome"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.judge}: {self.first_id} {self.outcome} {self.second_id}: {self.count}"


class VoteStyle(models.Model):
    """How both answers of a vote are dressed, over all turns: what style control compares. One row per cast event."""

    event = models.OneToOneField("arena.VoteEvent", models.CASCADE, primary_key=True, related_name="style")
    length_a = models.PositiveIntegerField(help_text=_("Characters, code included; of imports what the file counts."))
    length_b = models.PositiveIntegerField()
    headers_a = models.PositiveIntegerField(help_text=_("Markdown headings outside fenced code."))
    headers_b = models.PositiveIntegerField()
    lists_a = models.PositiveIntegerField(help_text=_("List items outside fenced code."))
    lists_b = models.PositiveIntegerField()
    bold_a = models.PositiveIntegerField(help_text=_("Bold spans outside fenced code."))
    bold_b = models.PositiveIntegerField()
    version = models.CharField(
        max_length=40, blank=True, db_index=True, help_text=_("Of labels and detectors; empty = came with an import.")
    )

    class Meta:
        verbose_name = _("vote style")
        verbose_name_plural = _("vote styles")

    def __str__(self) -> str:
        return f"{self.length_a} / {self.length_b} characters"


class Suspicion(models.Model):
    """What the watch found, about whom, and which votes it took out. Staff can take it back, once and for all.

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
    votes = models.PositiveIntegerField(help_text=_("Votes that were taken out."))
    vote_ids = ArrayField(models.UUIDField(), default=list, editable=False)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("suspicion")
        verbose_name_plural = _("suspicions")
        indexes = [models.Index(fields=["-updated_at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["detector", "kind", "code", "contestant"], name="suspicion_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"{self.detector}: {self.kind} {self.code[:10]}"


class BoardSnapshotQuerySet(models.QuerySet["BoardSnapshot"]):
    def published(self) -> "BoardSnapshotQuerySet":
        """What the public may see. Everything else is for operators."""
        return self.filter(published_at__isnull=False)

    def fits(self) -> "BoardSnapshotQuerySet":
        """Of all absorbed events: what operators see. The others leave out exclusions that are not public yet."""
        return self.filter(public_counts=False)


class VoteImport(models.Model):
    """A file of votes that was imported: what `origin` means, and where it came from."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=40, unique=True)
    title = models.CharField(max_length=80)
    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64, db_index=True, help_text=_("Of the file."))
    format = models.CharField(max_length=12)
    votes = models.BigIntegerField(help_text=_("Rows of the file; some may not count."))
    counted = models.BigIntegerField()
    contestants = models.PositiveIntegerField()
    styled = models.BigIntegerField(help_text=_("Rows with style counts of both answers."))
    relabelled = models.PositiveIntegerField(default=0, help_text=_("How often labels were imported for its votes."))
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("import of votes")
        verbose_name_plural = _("imports of votes")
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    @property
    def origin(self) -> str:
        return f"{IMPORT}{self.slug}"


class VoteLabel(models.Model):
    """A category that somebody gave a vote of this site: what no rule can tell from the texts' measures."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event = models.ForeignKey("arena.VoteEvent", models.CASCADE, related_name="labels", help_text=_("The cast."))
    name = models.CharField(max_length=40)
    source = models.CharField(max_length=40, help_text=_("Who says so: a classifier, a file, a person."))
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("vote label")
        verbose_name_plural = _("vote labels")
        constraints = [models.UniqueConstraint(fields=["event", "name", "source"], name="vote_label_once")]

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


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
