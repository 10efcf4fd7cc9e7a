"""Who may not take part for a while: visitors by id, address prefixes by a keyed hash whose key is thrown away in time."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from arena import clock
from arena.clock import now
from arena.ids import uuid7
from arena.models.visitors import Visitor

PREFIX_BAN_MOST = timedelta(days=90)


class AddressKey(models.Model):
    """The secret under which address prefixes are hashed. Replaced on a schedule; gone with the last ban that needs it."""

    tag = models.CharField(primary_key=True, max_length=8, help_text=_("Names the key in front of each hash."))
    sealed_secret = models.TextField(editable=False)
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("address key")
        verbose_name_plural = _("address keys")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.tag


class BanQuerySet(models.QuerySet["Ban"]):
    def live(self) -> "BanQuerySet":
        """Bans that hold now."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=clock.now()), lifted_at__isnull=True)


class Ban(models.Model):
    """A ban of a visitor, or of a prefix (`group` = "<key tag>-<hash>")."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    visitor = models.ForeignKey(Visitor, models.CASCADE, null=True, blank=True, related_name="bans")
    key = models.ForeignKey(AddressKey, models.PROTECT, null=True, blank=True, related_name="bans")
    group = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=200, help_text=_("Shown to the person."))
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    lifted_at = models.DateTimeField(null=True, blank=True)

    objects = BanQuerySet.as_manager()

    class Meta:
        verbose_name = _("ban")
        verbose_name_plural = _("bans")
        indexes = [models.Index(fields=["group"], condition=~Q(group=""), name="ban_group")]
        constraints = [
            models.CheckConstraint(
                condition=Q(visitor__isnull=False, key__isnull=True, group="")
                | (Q(visitor__isnull=True, key__isnull=False, expires_at__isnull=False) & ~Q(group="")),
                name="ban_visitor_or_prefix",
            ),
            models.CheckConstraint(
                condition=Q(key__isnull=True) | Q(expires_at__lte=F("created_at") + PREFIX_BAN_MOST),
                name="ban_prefix_at_most_90_days",
            ),
        ]

    def __str__(self) -> str:
        return f"ban of {self.visitor or 'a prefix'}"
