"""What stands on the board: contestants, the immutable revisions they are told by, and how pairs are drawn."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7


class Visibility(models.TextChoices):
    PUBLIC = "public", _("public")
    ANONYMOUS = "anonymous", _("anonymous only, under a codename")
    RETIRED = "retired", _("retired")


class ContestantQuerySet(models.QuerySet["Contestant"]):
    def drawable(self) -> "ContestantQuerySet":
        """Contestants that may enter a new battle; imported ones never can."""
        return self.exclude(visibility=Visibility.RETIRED).filter(sampling_weight__gt=0, imported=False)

    def under_codename(self) -> "ContestantQuerySet":
        """Contestants whose maker is not public yet."""
        return self.filter(visibility=Visibility.ANONYMOUS, anonymous_until__gt=now().date())


class Contestant(models.Model):
    """A name on the board. What it is made of stands in its current revision."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(unique=True, max_length=80)
    name = models.CharField(max_length=80)
    origin = models.CharField(
        max_length=60, blank=True, editable=False, help_text=_("The import that it came with; empty = of this site.")
    )
    organisation = models.CharField(max_length=80)
    licence = models.CharField(max_length=80, blank=True)
    open_weights = models.BooleanField(default=False)
    released_on = models.DateField(null=True, blank=True)
    description = models.TextField(blank=True, max_length=2000)
    link = models.URLField(blank=True)
    price_in = models.DecimalField(
        _("price per 1M input tokens"), max_digits=10, decimal_places=4, null=True, blank=True
    )
    price_out = models.DecimalField(
        _("price per 1M output tokens"), max_digits=10, decimal_places=4, null=True, blank=True
    )
    visibility = models.CharField(max_length=10, choices=Visibility.choices, default=Visibility.PUBLIC)
    codename = models.CharField(max_length=40, blank=True)
    anonymous_until = models.DateField(null=True, blank=True)
    sampling_weight = models.FloatField(default=1.0, validators=[MinValueValidator(0.0)])
    demo = models.BooleanField(default=False)
    imported = models.BooleanField(default=False, help_text=_("Came with an import of votes; cannot be drawn."))
    created_at = models.DateTimeField(default=now, editable=False)

    objects = ContestantQuerySet.as_manager()

    class Meta:
        verbose_name = _("contestant")
        verbose_name_plural = _("contestants")
        ordering = ["name"]
        constraints = [
            # One model may stand on this site and in several imports, with a row of its own in each.
            models.UniqueConstraint(fields=["name", "origin"], name="contestant_name_once"),
            models.CheckConstraint(condition=Q(sampling_weight__gte=0), name="contestant_weight_not_negative"),
            models.CheckConstraint(
                condition=Q(imported=True) | Q(origin=""), name="contestant_of_this_site_has_no_origin"
            ),
            models.CheckConstraint(
                condition=~Q(visibility="anonymous") | (~Q(codename="") & Q(anonymous_until__isnull=False)),
                name="contestant_anonymous_has_codename_and_end",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The name is once on this site. A codename becomes an address, so it must make one, and one that no other has.

        Raises ValidationError.
        """
        others = Contestant.objects.exclude(pk=self.pk)
        if others.filter(
            name=self.name, origin=self.origin
        ).exists():  # no form has the origin, so none checks the constraint
            raise ValidationError({"name": _("Another contestant has this name.")})
        if not self.codename:
            return
        address = slugify(self.codename)
        if not address:
            raise ValidationError(
                {"codename": _("It becomes part of an address: use at least one letter a-z or digit.")}
            )
        if others.filter(slug=address).exists() or any(
            slugify(name) == address for name in others.exclude(codename="").values_list("codename", flat=True)
        ):
            raise ValidationError(
                {"codename": _("Another contestant has this name as its address: choose another one.")}
            )

    @property
    def anonymous(self) -> bool:
        """Still under its codename today. Retiring it does not tell its name before the promised day."""
        if self.visibility == Visibility.PUBLIC or not self.codename or self.anonymous_until is None:
            return False
        return now().date() < self.anonymous_until

    @property
    def display_name(self) -> str:
        """What the public may read after the vote: the name, or the codename until its end date."""
        return self.codename if self.anonymous else self.name

    @property
    def public_slug(self) -> str:
        """The part of /models/<slug>/ that may be public: never the real slug while under a codename."""
        return slugify(self.codename) if self.anonymous else self.slug


class ImmutableRevision(TypeError):
    """Somebody tried to change what a model was told in battles that have been fought."""


class ContestantRevision(models.Model):
    """What a contestant is told and how it is sampled. Never changes; a change makes the next revision."""

    TOLD = (
        "model",
        "adapter_id",
        "system_prompt",
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "stop",
        "context_length",
    )

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    contestant = models.ForeignKey(Contestant, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    current = models.BooleanField(default=True)
    model = models.CharField(max_length=200, help_text=_("The model's name as deployments know it."))
    adapter = models.ForeignKey("inference.Adapter", models.PROTECT, null=True, blank=True, related_name="+")
    context_length = models.PositiveIntegerField(default=2048, help_text=_("Tokens of prompt and answer together."))
    system_prompt = models.TextField(blank=True)
    temperature = models.FloatField(default=0.7)
    top_p = models.FloatField(default=1.0)
    top_k = models.PositiveIntegerField(default=0, help_text=_("0 = off"))
    max_tokens = models.PositiveIntegerField(default=512)
    stop = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name = _("contestant revision")
        verbose_name_plural = _("contestant revisions")
        ordering = ["contestant", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["contestant", "number"], name="revision_number_once"),
            models.UniqueConstraint(fields=["contestant"], condition=Q(current=True), name="one_current_revision"),
            models.CheckConstraint(condition=Q(temperature__gte=0, temperature__lte=2), name="revision_temperature"),
            models.CheckConstraint(condition=Q(top_p__gt=0, top_p__lte=1), name="revision_top_p"),
            models.CheckConstraint(condition=Q(max_tokens__gte=1), name="revision_max_tokens"),
        ]

    def __str__(self) -> str:
        return f"{self.contestant} r{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and set(kwargs.get("update_fields") or ()) != {"current"}:
            raise ImmutableRevision("a revision never changes; make the next one with arena.registry.revise()")
        super().save(*args, **kwargs)

    def told(self) -> dict[str, Any]:
        """Everything that decides what the model is told and how it answers."""
        return {name: getattr(self, name) for name in self.TOLD}


class PairWeight(models.Model):
    """How likely a pair is drawn, relative to the others. Written by the fit job, read by `arena/pairing.py`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    first = models.ForeignKey(Contestant, models.CASCADE, related_name="+")
    second = models.ForeignKey(Contestant, models.CASCADE, related_name="+")
    weight = models.FloatField()
    sampler = models.CharField(max_length=40)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("pair weight")
        verbose_name_plural = _("pair weights")
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="pair_weight_once"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="pair_weight_ordered"),
            models.CheckConstraint(condition=Q(weight__gte=0), name="pair_weight_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} / {self.second_id}: {self.weight}"
