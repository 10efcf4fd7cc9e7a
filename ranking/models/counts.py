"""Absorbed counts, and what is known of the votes in them."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7

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
