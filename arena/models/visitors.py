"""Who takes part: an anonymous visitor, known by a signed cookie, and what that visitor agreed to."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid4, uuid7


class Visitor(models.Model):
    """A browser. Nothing here says who a person is; the id leaves the server only inside a signed cookie."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    created_at = models.DateTimeField(default=now)
    last_seen_at = models.DateTimeField(default=now)
    recovery_hash = models.CharField(
        max_length=64,
        unique=True,
        null=True,
        blank=True,
        editable=False,
        help_text=_("Of the code that opens /me elsewhere."),
    )

    class Meta:
        verbose_name = _("visitor")
        verbose_name_plural = _("visitors")

    def __str__(self) -> str:
        return f"visitor {str(self.id)[:8]}"


class Consent(models.Model):
    """One act of agreeing. The newest row counts; battles keep the row they began under."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    visitor = models.ForeignKey(Visitor, models.CASCADE, related_name="consents")
    terms = models.ForeignKey("arena.PageVersion", models.PROTECT, related_name="+")
    publish = models.BooleanField(default=False, help_text=_("May be part of a moderated dataset release."))
    locale = models.CharField(max_length=16, blank=True, help_text=_("Language of the page on which it was given."))
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        indexes = [models.Index(fields=["visitor", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.visitor} agreed to {self.terms}"
