"""What named experts say about stored battles: rounds, the battles drawn for them, labels. Written by `datasets/rating/`."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7
from arena.models.battles import Battle
from arena.models.votes import Choice


class Skip(models.TextChoices):
    """Why an expert gave no label."""

    UNSURE = "unsure", _("I cannot judge this subject")
    LANGUAGE = "language", _("I do not read this language")
    UNFIT = "unfit", _("this should not be judged at all")


class RatingRound(models.Model):
    """A random sample of voted battles that named experts judge blind.

    The order of the sample is that of a hash of `seed` and the battle's id, so it does not depend on who won or when; `reached`
    is the last hash that was looked at, after which the search goes on, from the start again behind the end. Battles are drawn as
    raters ask for them.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    guide = models.TextField(blank=True, max_length=4000, help_text=_("What raters read above each battle."))
    wanted = models.PositiveIntegerField(
        _("battles"), default=100, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    labels_each = models.PositiveSmallIntegerField(
        _("raters per battle"), default=2, validators=[MinValueValidator(1), MaxValueValidator(20)]
    )
    seed = models.BigIntegerField(editable=False)
    reached = models.CharField(max_length=32, blank=True, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name = _("rating round")
        verbose_name_plural = _("rating rounds")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class RatingItem(models.Model):
    """One battle of a round."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    round = models.ForeignKey(RatingRound, models.CASCADE, related_name="items")
    battle = models.ForeignKey(Battle, models.PROTECT, related_name="+")
    position = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("rating item")
        verbose_name_plural = _("rating items")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["round", "battle"], name="rating_battle_once"),
            models.UniqueConstraint(fields=["round", "position"], name="rating_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.round_id} {self.position}"


class ExpertLabel(models.Model):
    """What one named rater says about one battle, in the battle's own sides, once; or why there is no label.

    `swapped`: the rater saw the battle's B on the left. `rater_name` outlives the account, so that agreement can be told.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    item = models.ForeignKey(RatingItem, models.CASCADE, related_name="labels")
    rater = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    rater_name = models.CharField(max_length=150)
    choice = models.CharField(max_length=8, choices=Choice.choices, blank=True)
    skip = models.CharField(max_length=8, choices=Skip.choices, blank=True)
    swapped = models.BooleanField()
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("expert label")
        verbose_name_plural = _("expert labels")
        permissions = [("rate_battle", "Can judge stored battles as a named expert")]
        constraints = [
            models.UniqueConstraint(fields=["item", "rater_name"], name="expert_label_once"),
            models.CheckConstraint(
                condition=(~Q(choice="") & Q(skip="")) | (Q(choice="") & ~Q(skip="")), name="expert_label_or_skip"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rater_name}: {self.choice or self.skip}"
