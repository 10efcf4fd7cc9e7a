"""Where answers come from: adapters, the endpoints that serve models, and which model is deployed where."""

from datetime import date
from uuid import uuid4

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from inference import addresses, sealed


class Adapter(models.Model):
    """A LoRA adapter of a base model, in PEFT format."""

    name = models.SlugField(primary_key=True, max_length=80)
    base_model = models.CharField(max_length=200)
    path = models.CharField(max_length=400, blank=True, help_text=_("PEFT directory, where the engine can read it."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("adapter")
        verbose_name_plural = _("adapters")

    def __str__(self) -> str:
        return self.name


class EndpointKind(models.TextChoices):
    ENGINE = "engine", _("Agon engine (scheduler of ours, accepts all fields)")
    VLLM = "vllm", "vLLM"
    OPENAI = "openai", _("OpenAI-compatible")


class LimitField(models.TextChoices):
    MAX_TOKENS = "max_tokens", _("max_tokens (nearly everybody)")
    MAX_COMPLETION_TOKENS = "max_completion_tokens", _("max_completion_tokens (newer OpenAI models)")


class EndpointQuerySet(models.QuerySet["EngineEndpoint"]):
    def over_cap(self, day: date) -> "EndpointQuerySet":
        """Endpoints that may not cost more on this UTC day; a cap of zero is used up from the start."""
        spent = Spend.objects.filter(endpoint=OuterRef("pk"), day=day, cost__gte=OuterRef("daily_cap"))
        return self.filter(Q(daily_cap=0) | Q(Exists(spent)), daily_cap__isnull=False)

    def with_spent(self, day: date) -> "EndpointQuerySet":
        """Each with `spent` on this UTC day, None for nothing."""
        return self.annotate(spent=Subquery(Spend.objects.filter(endpoint=OuterRef("pk"), day=day).values("cost")))


class EngineEndpoint(models.Model):
    """A server that speaks OpenAI chat completions over HTTP."""

    name = models.SlugField(primary_key=True, max_length=80)
    kind = models.CharField(max_length=8, choices=EndpointKind.choices, default=EndpointKind.OPENAI)
    base_url = models.CharField(max_length=400, help_text=_("https://host/v1, or unix:///path/to/socket"))
    sealed_key = models.TextField(blank=True, editable=False, help_text=_("The endpoint's API key, encrypted at rest."))
    accepts_extras = models.BooleanField(
        default=False, help_text=_("Accepts our fairness fields (vllm_xargs, cache_salt).")
    )
    has_scheduler = models.BooleanField(
        default=False, help_text=_("Runs our scheduler; otherwise dispatch queues for it.")
    )
    in_flight = models.PositiveIntegerField(default=8, validators=[MinValueValidator(1)])
    connect_timeout_s = models.FloatField(default=5.0, validators=[MinValueValidator(0.1)])
    first_token_timeout_s = models.FloatField(default=60.0, validators=[MinValueValidator(0.1)])
    idle_timeout_s = models.FloatField(default=30.0, validators=[MinValueValidator(0.1)])
    total_timeout_s = models.FloatField(default=300.0, validators=[MinValueValidator(1.0)])
    queue_timeout_s = models.FloatField(default=300.0, validators=[MinValueValidator(1.0)])
    limit_field = models.CharField(
        _("length limit field"), max_length=24, choices=LimitField.choices, default=LimitField.MAX_TOKENS
    )
    asks_usage = models.BooleanField(default=True, help_text=_("Ask for token counts (stream_options.include_usage)."))
    sends_seed = models.BooleanField(default=True, help_text=_("Send the seed, so that a retry samples alike."))
    enabled = models.BooleanField(default=True)
    daily_cap = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("What it may cost per UTC day, in the currency of its deployments' prices; empty = no cap."),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("engine endpoint")
        verbose_name_plural = _("engine endpoints")
        constraints = [models.CheckConstraint(condition=Q(in_flight__gte=1), name="endpoint_in_flight_positive")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Bring the address into one form. Raises ValidationError that says what to write."""
        self.base_url = addresses.normal(self.base_url)

    def set_key(self, key: str) -> None:
        """Seal an API key; "" removes it."""
        self.sealed_key = sealed.seal(key)

    def open_key(self) -> str:
        """The API key in plain text, for the client only. Raises WrongSealKey."""
        return sealed.unseal(self.sealed_key)


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def serving(self, day: date) -> "DeploymentQuerySet":
        """Deployments that may be asked on this UTC day: enabled, on an enabled endpoint that is under its cap."""
        capped = EngineEndpoint.objects.over_cap(day)
        return self.filter(enabled=True, endpoint__enabled=True).exclude(endpoint__in=capped)


class Deployment(models.Model):
    """A model (or an adapter of it) on an endpoint, under the name that endpoint uses."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    model = models.CharField(max_length=200)
    adapter = models.ForeignKey(Adapter, models.CASCADE, null=True, blank=True, related_name="deployments")
    endpoint = models.ForeignKey(EngineEndpoint, models.CASCADE, related_name="deployments")
    upstream_name = models.CharField(max_length=200, help_text=_("What to send as `model`."))
    priority = models.PositiveSmallIntegerField(default=100, help_text=_("Lower is preferred."))
    price_in = models.DecimalField(
        _("price per 1M input tokens"),
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )
    price_out = models.DecimalField(
        _("price per 1M output tokens"),
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )
    enabled = models.BooleanField(default=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        constraints = [
            models.UniqueConstraint(
                fields=["model", "adapter", "endpoint"], name="deployment_once", nulls_distinct=False
            )
        ]
        ordering = ["priority", "id"]

    def __str__(self) -> str:
        return f"{self.upstream_name} on {self.endpoint_id}"


class Spend(models.Model):
    """What an endpoint has used on one UTC day; added to as each answer ends."""

    endpoint = models.ForeignKey(EngineEndpoint, models.CASCADE, related_name="spending")
    day = models.DateField()
    requests = models.PositiveBigIntegerField(default=0)
    estimated = models.PositiveBigIntegerField(
        default=0, help_text=_("Requests whose tokens were estimated from the texts: the endpoint told none.")
    )
    tokens_in = models.PositiveBigIntegerField(default=0)
    tokens_out = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)

    class Meta:
        verbose_name = _("spend")
        verbose_name_plural = _("spending")
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "day"], name="spend_once_a_day")]

    def __str__(self) -> str:
        return f"{self.endpoint_id} on {self.day}: {self.cost}"
